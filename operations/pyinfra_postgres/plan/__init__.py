"""The plan of a host as data, and as text."""
