"""Hierarchical gradient coding: a two-stage system whose fine-tuning makes up for late devices by codes."""
