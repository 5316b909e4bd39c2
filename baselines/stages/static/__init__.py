"""The static design: rounds on a channel that does not vary."""
