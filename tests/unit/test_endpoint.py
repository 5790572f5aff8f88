"""Where connection strings lead: poolers avoided, TLS verified, and nothing weakened."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyinfra_postgres.transport.connection import passes
from pyinfra_postgres.transport.endpoint import endpoint

POOLED = "ep-cool-darkness-a1b2c3d4-pooler.us-east-2.aws.neon.tech"
DIRECT = "ep-cool-darkness-a1b2c3d4.us-east-2.aws.neon.tech"
MINE = {"sslmode": "verify-full", "sslrootcert": "/mine"}
VERIFIED = {"sslmode": "verify-full", "sslrootcert": "/roots.pem"}


@pytest.fixture(autouse=True)
def _known_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGSERVICE", "PGSSLMODE", "PGSSLROOTCERT", "PGOPTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(
        "pyinfra_postgres.transport.endpoint._system_certificates", lambda: "/roots.pem"
    )


@pytest.mark.parametrize(
    ("dsn", "changes"),
    [
        (f"postgresql://u:p@{POOLED}/db?sslmode=require", {"host": DIRECT}),
        (f"postgresql://u:p@{POOLED.upper()}/db?sslmode=require",
         {"host": DIRECT.upper().replace("-POOLER", "")}),
        (f"host={POOLED} dbname=db sslmode=require", {"host": DIRECT}),
        (f"host={POOLED},{DIRECT} dbname=db sslmode=require", {"host": f"{DIRECT},{DIRECT}"}),
        ("postgresql://u@127.0.0.1/db?options=endpoint%3Dep-a-b-pooler",
         {"options": "endpoint=ep-a-b"}),
        ("host=pooler.example.org sslmode=require", {}),
        ("host=ep-a-pooler.example.org sslmode=require", {}),
        (f"host={DIRECT} sslmode=require", {}),
        ("", {}),
    ],
    ids=[
        "a URI", "in capitals", "keywords", "several hosts", "an endpoint in options",
        "another pooler", "another provider", "a direct name", "nothing at all",
    ],
)  # fmt: skip
def test_neons_pooled_names_are_translated(dsn: str, changes: dict[str, str]) -> None:
    found = endpoint(dsn)
    assert found.changes == changes
    assert len(found.notices) == (1 if changes else 0)


def test_every_pooled_host_is_named() -> None:
    first, second = "ep-a-pooler.x.neon.tech", "ep-b-pooler.x.neon.tech"
    assert endpoint(f"host={first},{second}").notices == (
        f"{first} is a pooler, which keeps no session: connecting to ep-a.x.neon.tech",
        f"{second} is a pooler, which keeps no session: connecting to ep-b.x.neon.tech",
    )


def test_a_service_and_the_environment_are_read_as_libpq_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = tmp_path / "services"
    services.write_text(f"[neon]\nhost={POOLED}\nsslmode=require\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    assert endpoint("service=neon").changes == {"host": DIRECT}
    assert endpoint("service=neon host=other").changes == {}
    monkeypatch.setenv("PGHOST", POOLED)
    assert endpoint("").changes == {"host": DIRECT, **VERIFIED}


@pytest.mark.parametrize(
    ("dsn", "changes"),
    [
        (f"host={DIRECT}", VERIFIED),
        (f"host={DIRECT} sslmode=prefer", {}),
        (f"host={DIRECT} sslrootcert=/mine", MINE),
        (f"host={DIRECT} sslmode=verify-full", {}),
        (f"host={DIRECT} sslmode=verify-full sslrootcert=system", VERIFIED),
        ("host=db.example.org sslrootcert=system", VERIFIED),
        ("host=db.example.org", {}),
        ("host=db.example.org sslrootcert=/mine", MINE),
        ("host=db.example.org sslrootcert=/mine sslmode=verify-ca", {}),
        ("host=localhost sslrootcert=/mine", {}),
        ("host=127.0.0.1 sslrootcert=/mine", {}),
        ("host=::1 sslrootcert=/mine", {}),
        ("host=/run/postgresql sslrootcert=/mine", {}),
        (f"host={DIRECT},localhost sslrootcert=/mine", {}),
    ],
    ids=[
        "Neon", "a wish", "Neon with a certificate", "libpq's own certificate",
        "the system's", "the system's for another", "no certificate", "a certificate",
        "both given", "localhost", "loopback", "loopback, version 6", "a socket", "a mixture",
    ],
)  # fmt: skip
def test_servers_are_verified_where_a_root_certificate_is_known(
    dsn: str, changes: dict[str, str]
) -> None:
    assert endpoint(dsn).changes == changes


def test_a_wish_in_the_environment_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "prefer")
    assert endpoint(f"host={DIRECT}").changes == {}


@pytest.mark.parametrize(
    ("message", "again"),
    [
        ("FATAL:  the database system is starting up", True),
        ("FATAL:  terminating connection due to administrator command", True),
        ("ERROR:  Couldn't connect to compute node", True),
        ('connection to server at "h" (1.2.3.4), port 5432 failed: Connection refused', True),
        ("server closed the connection unexpectedly", True),
        ("SSL SYSCALL error: EOF detected; server closed the connection unexpectedly", True),
        ("connection timeout expired", True),
        ('FATAL:  password authentication failed for user "u"', False),
        ('FATAL:  database "nowhere" does not exist', False),
        ("ERROR:  The requested endpoint could not be found, or you don't have access", False),
        ("ERROR:  Your project has exceeded the compute time quota", False),
        ("ERROR:  Too many connections attempts, rate limit exceeded", False),
        ("FATAL:  sorry, too many clients already", False),
        ('could not translate host name "nowhere" to address: Name or service not known', False),
        ("SSL error: certificate verify failed", False),
        ('connection to server on socket "/nowhere" failed: No such file or directory', False),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_only_what_passes_is_tried_again(message: str, again: bool) -> None:
    assert passes(message) is again
