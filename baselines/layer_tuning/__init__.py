"""Optimum and policies of layer tuning."""
