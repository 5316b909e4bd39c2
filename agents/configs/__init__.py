"""The choices of each recipe; they load without torch."""
