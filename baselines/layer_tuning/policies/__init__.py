"""Policies of layer tuning."""
