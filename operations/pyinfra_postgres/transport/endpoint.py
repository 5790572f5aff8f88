"""Where a connection string leads: poolers avoided, and TLS verified.

Nothing here connects. https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen
from psycopg import conninfo, pq

_POOLED = re.compile(r"(ep-[a-z0-9-]+)-pooler(?=\.(?:[a-z0-9-]+\.)*neon\.tech$)", re.IGNORECASE)
_POOLED_OPTION = re.compile(r"(\bendpoint=ep-[a-z0-9-]+)-pooler\b", re.IGNORECASE)
_NEON = re.compile(r"\bep-[a-z0-9-]+\.(?:[a-z0-9-]+\.)*neon\.tech$", re.IGNORECASE)

# psycopg's own OpenSSL knows no certificates: where systems keep them, as Go's crypto/x509 has it.
ROOT_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS
)


@frozen
class Destination:
    """What is changed of a connection string, and what it is known to lead to."""

    changes: dict[str, str]
    """Parameters that take the place of what libpq would use."""
    notices: tuple[str, ...] = ()
    """What a person should know of them, a line each."""
    is_neon: bool = False
    """Whether it is a compute of Neon's, which sleeps when nobody uses it."""


def endpoint(dsn: str) -> Destination:
    """What a connection string leads to. Raises psycopg.ProgrammingError where it is none."""
    return leads_to(parameters(dsn), _system_certificates)


def leads_to(used: Mapping[str, str], system_certificates: Callable[[], str]) -> Destination:
    """What a connection's parameters lead to.

    `system_certificates` finds what `sslrootcert=system` means where the connection begins.
    """
    hosts = used.get("host", "").split(",")
    direct = [_POOLED.sub(r"\1", host) for host in hosts]
    changes = {}
    if direct != hosts:
        changes["host"] = ",".join(direct)
    given = used.get("options", "")
    options = _POOLED_OPTION.sub(r"\1", given)
    if options != given:
        changes["options"] = options
    is_neon = all(map(_NEON.search, direct))
    return Destination(
        changes | _verification(used, direct, is_neon, system_certificates),
        tuple(
            f"{pooled} is a pooler, which keeps no session: connecting to {name}"
            for pooled, name in zip([*hosts, given], [*direct, options], strict=True)
            if pooled != name
        ),
        is_neon,
    )


def parameters(dsn: str) -> dict[str, str]:
    """What libpq would use: the string's own, then its service's, then the environment's."""
    given = {key: str(value) for key, value in conninfo.conninfo_to_dict(dsn).items()}
    with _service(given.get("service")):
        defaults = {
            option.keyword.decode(): option.val.decode()
            for option in pq.Conninfo.get_defaults()
            if option.val is not None
            # libpq's own defaults are nobody's wish.
            and (option.val != option.compiled or (option.envvar or b"").decode() in os.environ)
        }
    return defaults | given


@contextmanager
def _service(name: str | None) -> Iterator[None]:
    """Have libpq's defaults be those of a service."""
    before = os.environ.get("PGSERVICE")
    if name:
        os.environ["PGSERVICE"] = name
    try:
        yield
    finally:
        if name:
            del os.environ["PGSERVICE"]
        if before is not None:
            os.environ["PGSERVICE"] = before


def _verification(
    used: Mapping[str, str], hosts: list[str], is_neon: bool, system_certificates: Callable[[], str]
) -> dict[str, str]:
    """The parameters that have the server prove who it is, where nobody has said otherwise."""
    root = used.get("sslrootcert", "system" if is_neon else "")
    asked = (used.get("sslmode"), used.get("sslrootcert"))
    stands = asked[0] is not None and asked != ("verify-full", "system")
    if stands or not root or not all(map(_is_remote, hosts)):
        return {}
    known = system_certificates() if root == "system" else root
    return {"sslmode": "verify-full", "sslrootcert": known}


def _is_remote(host: str) -> bool:
    """Whether a host is another machine, and not a socket's directory or this one."""
    if host in {"", "localhost"} or host.startswith(("/", "@")):
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


def _system_certificates() -> str:
    """The file of root certificates that this machine trusts."""
    known = (ssl.get_default_verify_paths().cafile, *ROOT_CERTIFICATES)
    return next((path for path in known if path and Path(path).is_file()), "system")
