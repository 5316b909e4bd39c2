"""Agents that learn to control the environment; each module is one recipe."""
