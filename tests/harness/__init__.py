"""What the live tests stand on: throwaway servers, real psql and pg_dump, the real pyinfra CLI."""

from harness.cli import Project, Run, pyinfra, start_pyinfra
from harness.servers import (
    LABELS,
    NEWEST,
    Database,
    LogEntry,
    PasswordRole,
    TestServer,
    one_version,
)

__all__ = [
    "LABELS",
    "NEWEST",
    "Database",
    "LogEntry",
    "PasswordRole",
    "Project",
    "Run",
    "TestServer",
    "one_version",
    "pyinfra",
    "start_pyinfra",
]
