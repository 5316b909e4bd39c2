"""Scenarios of layer tuning that come with the package."""
