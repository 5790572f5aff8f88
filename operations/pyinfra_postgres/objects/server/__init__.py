"""Schemas and extensions, and what else holds for a whole database."""
