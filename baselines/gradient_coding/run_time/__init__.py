"""Which code, and which nodes, make an iteration shortest: from means, from estimates, from the whole law."""
