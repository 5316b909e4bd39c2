"""Policies that every system of two stages can build on."""
