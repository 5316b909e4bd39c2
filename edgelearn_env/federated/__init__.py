"""Real federated training of small transformers, as a schedule says, beside what the simulator said of it."""
