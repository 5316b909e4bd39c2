"""Arrays of any library: what numpy and torch share, records of them, loops compiled over them."""
