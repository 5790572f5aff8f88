"""Neon, as far as it can be had on one machine: a server, its roles, a pooler, and one address.

As there, one address serves the direct and the pooled name, and TLS tells which one is meant.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.pooler import PORT as POOLER_PORT
from harness.pooler import Pooler, pooler
from harness.relay import Relay
from harness.servers import Database, TestServer

ENDPOINT = "ep-quiet-lake-a1b2c3d4"
REGION = "eu-central-1.aws.neon.tech"
DIRECT = f"{ENDPOINT}.{REGION}"
POOLED = f"{ENDPOINT}-pooler.{REGION}"
OWNER = "neondb_owner"
PASSWORD = "npg_Kx7pQ2vRt9Zw"

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_ROLES = f"""
    CREATE ROLE cloud_admin SUPERUSER LOGIN;
    SET ROLE cloud_admin;
    CREATE ROLE neon_superuser NOLOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS
      IN ROLE pg_read_all_data, pg_write_all_data;
    GRANT pg_monitor, pg_signal_backend, pg_create_subscription TO neon_superuser
      WITH ADMIN OPTION;
    CREATE ROLE {OWNER} LOGIN INHERIT CREATEROLE CREATEDB BYPASSRLS REPLICATION
      PASSWORD '{PASSWORD}' IN ROLE neon_superuser;"""
_DEFAULTS = """
    SET ROLE cloud_admin;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO neon_superuser
      WITH GRANT OPTION;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO neon_superuser
      WITH GRANT OPTION;"""


@dataclass(frozen=True)
class Compute:
    """A compute with one database, whose owner is no superuser."""

    server: TestServer
    relay: Relay
    pooler: Pooler
    address: str
    certificate: Path

    @property
    def database(self) -> Database:
        """The database, as the platform's superuser sees it."""
        return Database(self.server, "neondb")

    @property
    def environment(self) -> dict[str, str]:
        """For a client that is to trust the certificate as it trusts the system's."""
        return {"SSL_CERT_FILE": str(self.certificate)}

    def dsn(self, name: str = POOLED, password: str = PASSWORD, **parameters: str) -> str:
        """The URI as Neon shows it, with the address that DNS would have."""
        given = {"channel_binding": "require", **parameters}
        query = "".join(f"&{key}={value}" for key, value in given.items())
        host, port = self.relay.listener.getsockname()
        return f"postgresql://{OWNER}:{password}@{name}:{port}/neondb?hostaddr={host}{query}"

    def platform(self) -> str:
        """What belongs to Neon: roles, their memberships, and default privileges."""
        return self.database.psql(
            """SELECT rolname, rolsuper, rolcreaterole, rolconfig FROM pg_roles
                WHERE rolname <> 'authenticated' ORDER BY 1;
               SELECT roleid::regrole, member::regrole, admin_option FROM pg_auth_members
                WHERE 'authenticated' NOT IN (roleid::regrole::text, member::regrole::text)
                ORDER BY 1, 2;
               SELECT defaclrole::regrole, defaclobjtype, defaclacl FROM pg_default_acl
                ORDER BY 1, 2"""
        )


@contextlib.contextmanager
def compute() -> Iterator[Compute]:
    """Run it on PostgreSQL 17: the newer servers here are built without TLS."""
    # An address of its own: on Linux all of 127.0.0.0/8 is this machine.
    address = ".".join(["127", *(str(1 + secrets.randbelow(254)) for _ in range(3))])
    server = TestServer("17", listen_addresses=address, ssl="on")
    certificate, key = server.directory / "tls.crt", server.directory / "tls.key"
    _certify(certificate, key)
    for setting, path in (("ssl_cert_file", certificate), ("ssl_key_file", key)):
        server.settings[setting] = str(path)
        server.own(path)
    server.hba = (*server.hba, "hostssl all all samehost scram-sha-256")
    with server:
        server.psql("-c", _ROLES)
        server.psql("-c", f"CREATE DATABASE neondb OWNER {OWNER}")
        server.psql("-c", _DEFAULTS, database="neondb")
        hashed = server.psql("-c", f"SELECT rolpassword FROM pg_authid WHERE rolname = '{OWNER}'")
        with (
            pooler(
                server,
                "transaction",
                {OWNER: hashed.strip()},
                auth_type="scram-sha-256",
                listen_addr=address,
                client_tls_sslmode="require",
                client_tls_cert_file=certificate,
                client_tls_key_file=key,
            ) as behind,
            socket.create_server((address, 0)) as listener,
        ):
            relay = Relay(listener, _by_name(address))
            yield Compute(server, relay, behind, address, certificate)
            relay.end()


def _certify(certificate: Path, key: Path) -> None:
    """Make a certificate for all names of the region that is its own root."""
    openssl = shutil.which("openssl")
    assert openssl
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", f"/CN={REGION}"),
            *("-addext", f"subjectAltName=DNS:*.{REGION}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )


def _by_name(address: str) -> Relay.Route:
    """Where a client wants to go, by the name in its TLS greeting."""

    def route(client: socket.socket) -> socket.socket:
        if client.recv(8) != _SSL_REQUEST:
            raise ConnectionError("there is nothing without TLS")
        client.sendall(b"S")
        pooled = _greeted(client.recv(65536, socket.MSG_PEEK)).startswith(f"{ENDPOINT}-pooler.")
        server = socket.create_connection((address, POOLER_PORT if pooled else 5432))
        server.sendall(_SSL_REQUEST)
        assert server.recv(1) == b"S"
        return server

    return route


def _greeted(hello: bytes) -> str:
    """The server's name in a TLS greeting, as OpenSSL reads it."""
    names = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _session, name, _context: names.append(name)
    incoming = ssl.MemoryBIO()
    incoming.write(hello)
    with contextlib.suppress(ssl.SSLError):  # there is no certificate to go on with
        context.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True).do_handshake()
    return names[0] or "" if names else ""
