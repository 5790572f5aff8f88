"""The command `pyinfra-postgres`: one file per subcommand."""
