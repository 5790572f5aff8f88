"""Which database a host's data means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import conninfo, pq

from ..errors import ConnectError, HostError
from .host_data import read

# The host data that are a connection's parameters, and what libpq calls them.
_PARAMETERS = {
    "postgres_host": "host",
    "postgres_port": "port",
    "postgres_user": "user",
    "postgres_password": "password",
    "postgres_database": "dbname",
}


def dsn(data: Mapping[str, Any]) -> str:
    """The connection string: `postgres_dsn`, with what the other host data put in its place.

    Raises ConnectError where it is none.
    """
    try:
        given = read(data, "postgres_dsn", "")
        found = {keyword: read(data, name, None) for name, keyword in _PARAMETERS.items()}
    except HostError as error:
        raise ConnectError(str(error)) from None
    parameters = {keyword: value for keyword, value in found.items() if value is not None}
    if "://" in parameters.get("dbname", ""):
        raise ConnectError("postgres_database is a name: write a connection string as postgres_dsn")
    if given.partition("://")[2].partition("/")[0].count("@") > 1:
        # What follows the first @ would be taken for the host, and printed.
        raise ConnectError("postgres_dsn: write @ in a user or password as %40")
    try:
        return conninfo.make_conninfo(given, **parameters) if parameters else given
    except psycopg.ProgrammingError:
        # The message would quote the string, and with it the password.
        raise ConnectError(
            "postgres_dsn is no connection string: write a URI or libpq keywords"
        ) from None


def divided(connection_string: str) -> tuple[dict[str, str], dict[str, str]]:
    """A connection string's parameters: those that anybody may see, and the secret ones.

    Raises ConnectError where it is none.
    """
    try:
        options = pq.Conninfo.parse(connection_string.encode())
    except psycopg.OperationalError:
        raise ConnectError(
            "postgres_dsn is no connection string: write a URI or libpq keywords"
        ) from None
    public: dict[str, str] = {}
    secret: dict[str, str] = {}
    for option in options:
        if option.val is not None:
            kind = secret if option.dispchar == b"*" else public
            kind[option.keyword.decode()] = option.val.decode()
    return public, secret
