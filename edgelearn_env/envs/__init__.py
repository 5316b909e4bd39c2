"""Gymnasium environments over `edgelearn_env.two_stage.dynamics`."""
