"""Functions, triggers and views."""
