"""Checks, and the report of them."""
