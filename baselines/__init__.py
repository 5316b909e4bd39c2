"""What agents are compared with: the clairvoyant optimum and policies that need no learning."""
