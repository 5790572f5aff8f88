"""The server as the judge of whether two definitions are the same."""
