"""Online policies of the ladder, and what they share."""
