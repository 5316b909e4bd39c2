"""Optima and policies of the two-stage system."""
