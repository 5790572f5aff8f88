"""Staging holds the test organization and its user; no other group does."""

sync_fixtures = True
