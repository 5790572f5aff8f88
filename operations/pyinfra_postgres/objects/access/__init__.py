"""Roles, privileges and policies."""
