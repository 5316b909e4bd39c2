"""`edgelearn speed`: what is timed, and beside what."""
