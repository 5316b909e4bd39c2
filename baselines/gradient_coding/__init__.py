"""Optimum and policies of gradient coding."""
