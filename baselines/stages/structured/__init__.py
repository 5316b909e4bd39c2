"""A solver for an episode's program that makes use of what couples it: batteries from round to round, little else."""
