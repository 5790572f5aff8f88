"""The newcomer's tour: an embedded PostgreSQL server and a guided run of the project on it."""
