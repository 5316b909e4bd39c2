"""Gymnasium environments over `edgelearn_env.dynamics`."""
