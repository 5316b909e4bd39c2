"""Hierarchical gradient codes, of use without any environment: numpy alone, and gradients of any array library."""
