"""What the live tests stand on: throwaway servers, real psql and pg_dump, the real pyinfra CLI."""

from harness.cli import Project, Run, finished, pyinfra, start_pyinfra, until
from harness.forks import Started
from harness.neon_api import PASSWORD, TOKEN, FakeBranch, FakeNeon, FakeProject, Fault
from harness.platform import TODAY, Platform, accept
from harness.pooler import Pooler, needs_neon, needs_pgbouncer, pooler
from harness.relay import Relay, relay, relayed
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
    running_servers,
)
from harness.ssh import SSHServer, needs_ssh, peer_server, ssh_server

__all__ = [
    "EVERY_LABEL",
    "LABELS",
    "NEWEST",
    "PASSWORD",
    "TODAY",
    "TOKEN",
    "Database",
    "Databases",
    "FakeBranch",
    "FakeNeon",
    "FakeProject",
    "Fault",
    "LogEntry",
    "PasswordRole",
    "Platform",
    "Pooler",
    "Project",
    "Relay",
    "Run",
    "SSHServer",
    "Started",
    "TestServer",
    "accept",
    "finished",
    "needs_neon",
    "needs_pgbouncer",
    "needs_ssh",
    "one_version",
    "peer_server",
    "pooler",
    "pyinfra",
    "relay",
    "relayed",
    "running_servers",
    "ssh_server",
    "start_pyinfra",
    "until",
]
