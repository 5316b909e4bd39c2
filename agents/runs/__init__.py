"""What a training run keeps: checkpoints, curves, and where to go on."""
