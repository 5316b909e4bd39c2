"""Tapes: all that an episode does not decide, drawn from a seed alone, whole or round by round."""
