"""What episodes of all systems share: pre-training, a switch, fine-tuning by devices, budgets, the learning bound."""
