"""An episode with fixed numbers of rounds as a conic program, and its dual function."""
