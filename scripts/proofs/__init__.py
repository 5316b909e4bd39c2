"""Proven optima of test tapes that come with the package, and where they are kept."""
