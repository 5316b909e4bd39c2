"""Two-stage edge learning: pre-training at a server, then federated fine-tuning on wireless devices."""
