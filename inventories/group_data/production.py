"""Production waits for its users: a lock for half a second at most, but again and again."""

postgres_lock_timeout = 500
postgres_lock_attempts = 20
sync_isolation = "strict"
