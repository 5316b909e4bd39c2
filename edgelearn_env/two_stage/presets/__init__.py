"""Scenario presets, one TOML file each."""
