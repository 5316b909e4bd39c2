"""Array code written down once as a list of operations on rows, and played from the list without Python."""
