"""What the live tests stand on: throwaway servers, real psql and pg_dump, the real pyinfra CLI."""

from harness.cli import Project, Run, finished, pyinfra, start_pyinfra, until
from harness.platform import TODAY, Platform
from harness.servers import (
    EVERY_LABEL,
    LABELS,
    NEWEST,
    Database,
    Databases,
    LogEntry,
    PasswordRole,
    TestServer,
    one_version,
)

__all__ = [
    "EVERY_LABEL",
    "LABELS",
    "NEWEST",
    "TODAY",
    "Database",
    "Databases",
    "LogEntry",
    "PasswordRole",
    "Platform",
    "Project",
    "Run",
    "TestServer",
    "finished",
    "one_version",
    "pyinfra",
    "start_pyinfra",
    "until",
]
