"""The commands of `edgelearn federate`: real federated training."""
