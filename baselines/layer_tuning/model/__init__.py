"""Rounds with levels as plans and prices see them."""
