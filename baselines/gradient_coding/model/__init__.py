"""Coded rounds as plans and prices see them."""
