"""The proven optimum of a known tape, over all numbers of rounds."""
