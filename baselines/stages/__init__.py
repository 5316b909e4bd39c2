"""Optima of episodes of two stages: what systems whose rounds differ in their fine-tuning share."""
