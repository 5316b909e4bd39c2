"""Gradient coding: what to choose, and what to compare it with."""
