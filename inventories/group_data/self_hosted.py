"""On servers of our own psql runs as the system's postgres user, who needs no password."""

postgres_database = "sync"
_sudo = True
_sudo_user = "postgres"
