"""What each freedom of the joint design is worth."""
