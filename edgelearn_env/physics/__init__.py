"""The physics of one round: pure functions of arrays, whatever the array library, float64, SI units.

Shapes: B episodes in a batch, K devices. Every argument broadcasts.
"""
