"""Getting SQL to a server: connections, connectors, psql, and what is answered."""
