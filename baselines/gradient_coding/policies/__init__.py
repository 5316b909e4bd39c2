"""Policies of gradient coding."""
