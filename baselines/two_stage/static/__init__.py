"""The joint design for a constant channel without batteries."""
