"""Networks of agents: in plain arrays, in torch, and as policies of Stable-Baselines3."""
