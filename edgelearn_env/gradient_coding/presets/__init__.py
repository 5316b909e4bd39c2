"""Scenario presets as TOML files."""
