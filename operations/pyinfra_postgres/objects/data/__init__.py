"""Rows, and SQL that is run."""
