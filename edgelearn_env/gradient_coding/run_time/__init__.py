"""How long an iteration of gradient coding takes, as a random variable: its law, samples and expectation."""
