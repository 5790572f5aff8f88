"""A compute that sleeps takes a while to wake."""

postgres_connect_attempts = 8
