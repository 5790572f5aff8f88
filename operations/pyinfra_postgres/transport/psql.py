r"""Scripts through psql, on hosts that have a shell.

The statements are data to psql: dollar-quoted in one VALUES list, which `\gexec` at the very end
has it run one after another, each as it is written. So nothing in them is ever a command or a
variable of psql's, and a script that did not arrive whole does nothing.
https://www.postgresql.org/docs/current/app-psql.html
"""

from __future__ import annotations

import getpass
import hashlib
import math
import platform
import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from psycopg import conninfo
from pyinfra.api import QuoteString, StringCommand

from ..errors import ConnectError
from ..syntax.paths import SearchPath
from . import troubles
from .answer import Answer, Failure, told_transaction
from .poolers import PROCESS
from .target import divided, dsn
from .watch import Limits

_PSQL = (
    *("psql", "--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align"),
    *("--set=ON_ERROR_STOP=1", "--set=VERBOSITY=verbose"),
)
_SERVICE = "pyinfra_postgres"
_SECOND = "PYINFRA_POSTGRES_SECOND"
"""The variable of the shell that has the connection of a second psql."""
_KEYS = 1886220905
"""The first integer of the advisory locks that tell psql's sessions apart."""
_KILLED_AFTER = 5
"""Seconds that a psql has to end itself, with a cancel, once its time is over."""
_ERROR = re.compile(r"psql:<stdin>:\d+: [^:]+:  ([0-9A-Z]{5}): (.*)")
_LOST = "connection to server was lost"
_HINT = re.compile(r"(?:DETAIL|HINT):  (.*)")
_ROUTINE = re.compile(r"LOCATION:  (\w+),")


@frozen
class Psql:
    """A psql as a host's data asks for it."""

    public: dict[str, str]
    """Parameters of its connection, for its argument list."""
    secret: dict[str, str]
    """Those that travel on its standard input, before the script."""

    @classmethod
    def of(cls, data: Mapping[str, Any], limits: Limits) -> Psql:
        """The psql of host data. Raises ConnectError."""
        defaults = {
            **{name: str(value) for name, value in limits.connection.items()},
            "application_name": f"pyinfra-postgres {getpass.getuser()}@{platform.node()}",
        }
        public, secret = divided(dsn(data))
        if secret and "service" in public:
            raise ConnectError(
                "postgres_dsn has a service and a password: write the password into the host's "
                "service or password file"
            )
        if any(value != value.rstrip() or "\n" in value for value in secret.values()):
            # A service file has no way to write that.
            raise ConnectError(
                "postgres_password: for psql it is one line that does not end with a space"
            )
        # Scripts are sent as UTF-8, whatever the database's own encoding is.
        return cls(defaults | public | {"client_encoding": "utf8"}, secret)

    def command(self, seconds: float | None = None) -> StringCommand:
        """The command line of one that has so many seconds, where the host has a `timeout`.

        Secrets come to libpq as a service that the shell reads from standard input and writes,
        with a printf of its own, into a pipe: no argument list, environment or file has them.
        """
        psql = self._psql(seconds)
        if not self.secret:
            return psql
        return self._reading(
            StringCommand(self._service(), "| PGSERVICEFILE=/dev/fd/3", psql, "3<&0 <&4 4<&-")
        )

    def pair(self, seconds: float) -> StringCommand:
        """The command line of one that runs a second one in between, as PAIR has it."""
        second = StringCommand(f"{_SECOND}=", QuoteString(self._target()), _separator="")
        psql = StringCommand(second, self._psql(seconds))
        if not self.secret:
            return psql
        # A pipe can be read once, so the second one has its own.
        services = f"{self._service()} | {{ {self._service()} |"
        return self._reading(
            StringCommand(services, "PGSERVICEFILE=/dev/fd/3", psql, "3<&0 <&4 4<&-; } 5<&0")
        )

    def pair_input(self) -> str:
        """Standard input of the two: each says its name and its process, in turn."""
        service = "PGSERVICEFILE=/dev/fd/5 " if self.secret else ""
        second = (
            f'\\! {service}LC_ALL=C {" ".join(_PSQL)} --dbname "${_SECOND}" </dev/null'
            + f" --command=\"{PROCESS}, 'second'\"" * 2
        )
        first = f"{PROCESS}, 'first';"
        lines = ("\\echo :HOST", first, first, second, first, first)
        return self.input([]) + "".join(f"{line}\n" for line in lines)

    def _reading(self, command: StringCommand) -> StringCommand:
        """A command behind the shell's reading of the secrets; the rest is at 4."""
        names = [f"line{number}" for number in range(len(self.secret))]
        reads = " && ".join(f"IFS= read -r {name}" for name in names)
        script = StringCommand(f"{reads} && exec 4<&0 &&", command)
        return StringCommand("sh", "-c", QuoteString(script))

    def _service(self) -> str:
        lines = " ".join(f'"$line{number}"' for number in range(len(self.secret)))
        return f"printf '%s\\n' '[{_SERVICE}]' {lines}"

    def _psql(self, seconds: float | None) -> StringCommand:
        # What psql and libpq say is read here, so in English.
        timed = () if seconds is None else (_timed(math.ceil(seconds)),)
        target = QuoteString(self._target())
        return StringCommand("LC_ALL=C", *timed, *_PSQL, "--file=-", "--dbname", target)

    def _target(self) -> str:
        service = {"service": _SERVICE} if self.secret else {}
        return conninfo.make_conninfo("", **self.public, **service)

    def input(self, statements: Sequence[str], key: int = 0) -> str:
        """Standard input."""
        lines = "".join(f"{name}={value}\n" for name, value in self.secret.items())
        return lines + (script(statements, key) if statements else "")


def _timed(seconds: int) -> str:
    """In a shell, what gives the command behind it so many seconds; nothing where that is unknown.

    A second later psql gets what Ctrl-C sends: it cancels its statement on the server.
    """
    timeout = f"timeout -s INT -k {_KILLED_AFTER}"
    return f"$({timeout} 9 true 2>/dev/null && echo {timeout} {seconds + 1})"


def script(statements: Sequence[str], key: int = 0) -> str:
    """What psql reads; marks on its output tell which statement it is at.

    Its session is known to others by a key that it holds, if it has one.
    """
    number = 0
    while any(f"$p{number}" in statement for statement in statements):
        number += 1
    tag, mark = f"$p{number}$", _mark(statements)
    # What a backslash in quotes means is settled before a statement is read, and what a name
    # without a schema means before one evaluates anything: these rows are nothing but constants.
    first = [SearchPath.OWN.session, "SET standard_conforming_strings = on"]
    if key:
        first.append(_hold(key))
    rows = [f"({tag}{statement}{tag}, NULL)" for statement in first]
    rows += [
        f"({tag}SELECT '{mark}{index}'{tag}, {tag}{statement}{tag})"
        for index, statement in enumerate(statements)
    ]
    rows.append(f"({tag}SELECT '{mark}{len(statements)}'{tag}, NULL)")
    return "VALUES\n" + ",\n".join(rows) + "\n\\gexec\n"


def _hold(key: int) -> str:
    return f"DO $hold$ BEGIN PERFORM pg_catalog.pg_advisory_lock({_KEYS}, {key}); END $hold$"


def process_of(key: int) -> str:
    """An expression for the process of the session that holds a key."""
    return (
        "(SELECT min(l.pid) FROM pg_locks AS l WHERE l.locktype = 'advisory' AND l.granted"
        f" AND (l.classid, l.objid, l.objsubid) = ({_KEYS}, {key}, 2) AND l.database ="
        " (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))"
    )


def cancelling(key: int) -> list[str]:
    """A script that cancels what the session that holds a key is doing."""
    return [
        f"SELECT pg_cancel_backend({process_of(key)})",
    ]


def _mark(statements: Sequence[str]) -> str:
    """What no row of theirs begins with."""
    digest = hashlib.sha256("\n".join(statements).encode()).hexdigest()
    return f"pyinfra-postgres {digest[:16]} statement "


def answer(
    statements: Sequence[str], succeeded: bool, output: Sequence[str], errors: Sequence[str]
) -> tuple[int, Answer]:
    """Which of the statements was the last to begin, and what psql says of them all."""
    mark, count = _mark(statements), len(statements)
    marks = [int(line.removeprefix(mark)) for line in output if line.startswith(mark)]
    begun = marks[-1] if marks else -1
    failure = None if succeeded and begun == count else _failure(errors, begun, count)
    return begun, Answer(without_marks(statements, output), failure, told_transaction(errors))


def without_marks(statements: Sequence[str], output: Sequence[str]) -> tuple[str, ...]:
    """What the statements printed."""
    mark = _mark(statements)
    return tuple(line for line in output if not line.startswith(mark))


def _failure(lines: Sequence[str], begun: int, count: int) -> Failure:
    lines = [line for line in lines if line.strip() and not told_transaction([line])]
    index, reach = min(max(begun, 0), count - 1), count - 1
    lost = any(_LOST in line for line in lines)
    for number, line in enumerate(lines):
        if error := _ERROR.match(line):
            hints = [hint[1] for text in lines[number + 1 :] if (hint := _HINT.match(text))]
            places = (_ROUTINE.match(text) for text in lines[number + 1 :])
            routine = next((place[1] for place in places if place), "")
            return Failure(error[2], error[1], index, " ".join(hints), lost, reach, routine=routine)
    lines = [line.strip() for line in lines if "LOCATION:" not in line]
    if begun < 0 and lines:
        return Failure(advised(lines), unreachable=True)
    message = "; ".join(lines) or "psql ended without a word"
    return Failure(message, index=index, lost=True, reach=reach)


def advised(lines: Sequence[str]) -> str:
    """What a psql that never began says, or who should have started it, and what to do about it."""
    # What comes before is a shell's noise.
    said = "; ".join(line.strip() for line in lines if line.strip())
    said = said[max(0, said.find("psql: error: ")) :].partition("; Is the server running")[0]
    return troubles.advised(said)
