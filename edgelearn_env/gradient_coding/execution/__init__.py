"""A coded gradient round for real: workers compute and are late, the master goes on without them and decodes."""
