"""Types: enums, domains and others."""
