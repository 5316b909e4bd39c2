"""Scenarios: what is fixed in an episode, declared with units and limits, from presets, files or code."""
