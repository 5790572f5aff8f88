"""What goes wrong in real runs, why, and what to do: told with the message of the run.

docs/troubleshooting.md has the same; a test holds it to this. Pure.
https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import re

from attrs import frozen


@frozen
class Trouble:
    """A failure that is recognised."""

    name: str
    says: str
    """What is said, as the documentation quotes it."""
    cause: str
    remedy: str
    states: tuple[str, ...] = ()
    """Its SQLSTATEs; none where there was no session that could have told one."""
    words: str = ""
    """A pattern that its message has."""

    def is_told(self, message: str, sqlstate: str) -> bool:
        """Whether a message with this SQLSTATE is of this."""
        is_state = sqlstate in self.states if self.states else not sqlstate
        return is_state and bool(re.search(self.words, message, re.IGNORECASE))

    @property
    def advice(self) -> str:
        """Cause and way out, in a sentence."""
        return f"{self.cause}: {self.remedy}"


POOLER = Trouble(
    "A pooler in transaction mode",
    "this is a pooler that hands the sessions around among its clients",
    "A deploy needs a session of its own, for its lock and its settings",
    "connect to the server itself, or to a pool in session mode",
    words=r"this is a pooler that",
)

# The first that fits is told.
CONNECTING = (
    POOLER,
    Trouble(
        "A compute that does not wake",
        "Could not connect after 5 tries: couldn't connect to compute node",
        "The compute sleeps and takes longer to wake than it was waited for, or can't start",
        "raise postgres_connect_attempts, or look at the project in Neon's console",
        words=r"couldn't connect to compute node",
    ),
    Trouble(
        "No server",
        "Connection refused; failed: No such file or directory",
        "No server listens there",
        "start it, or set postgres_host and postgres_port",
        words=r"connection refused|failed: No such file",
    ),
    Trouble(
        "No answer",
        "timeout expired; No route to host",
        "Nobody answers at that address",
        "correct it, have the network and its firewalls let this machine in, and see whether the "
        "server runs",
        words=r"timeout expired|connection timed out|no route to host|network is unreachable",
    ),
    Trouble(
        "A server that says nothing",
        "no answer within 30 s; the server has said nothing for 30 s",
        "The server or the network has stopped, or what should come at once takes long there",
        "see what the server does, or wait longer by postgres_answer_timeout",
        words=r"no answer within|has said nothing for",
    ),
    Trouble(
        "A name that is none",
        "failed to resolve host '...'; could not translate host name \"...\" to address",
        "No such host is known",
        "correct the host in postgres_dsn or postgres_host, or see to the name service",
        words=r"failed to resolve host|could not translate host name",
    ),
    Trouble(
        "A certificate that can't be trusted",
        "SSL error: certificate verify failed",
        "The server's certificate is of no authority that is trusted here, or is for another name",
        "give the authority's by sslrootcert=FILE in postgres_dsn, and connect by the name that "
        "the certificate has",
        words=r"certificate verify failed|root certificate file|does not match host name",
    ),
    Trouble(
        "A wrong password",
        'password authentication failed for user "..."',
        "The server does not take this password for this role",
        "correct postgres_password, postgres_dsn or the password file, and postgres_user",
        words=r"password authentication failed",
    ),
    Trouble(
        "No password",
        "fe_sendauth: no password supplied",
        "The server asks for a password, and there is none",
        "set postgres_password, or write a password file on the host",
        words=r"no password supplied",
    ),
    Trouble(
        "A role that is none, or another account's",
        'Peer authentication failed for user "..."; role "..." does not exist',
        "There is no such role; or, with peer authentication, the account (_sudo_user where "
        "there is one) is not the role's",
        "correct it or postgres_user, or map them in pg_ident.conf",
        words=r"peer authentication failed|role .* does not exist",
    ),
    Trouble(
        "A role that may not connect",
        'role "..." is not permitted to log in; no pg_hba.conf entry for host "..."; '
        "permission denied for database",
        "The role may not log in, or not from here, or not to this database",
        "ALTER ROLE ... LOGIN, GRANT CONNECT ON DATABASE, or add a line to pg_hba.conf",
        words=r"not permitted to log in|no pg_hba.conf entry|permission denied for database",
    ),
    Trouble(
        "A database that is none",
        'database "..." does not exist',
        "The server has no such database, and a deploy does not create one",
        "Create the database, or correct postgres_database",
        words=r"database .* does not exist",
    ),
    Trouble(
        "Too many sessions",
        "sorry, too many clients already; remaining connection slots are reserved",
        "The server has as many sessions as max_connections, or the role or database, allows",
        "end some, or wait until there are fewer",
        words=r"too many (clients|connections)|connection slots are reserved",
    ),
    Trouble(
        "No psql on the host",
        "psql: command not found",
        "It is not installed, or not in the PATH",
        "install the server's programs, or Debian's postgresql-client",
        words=r"psql.{0,3}: (command )?not found|psql.{0,3}: No such file",
    ),
    Trouble(
        "An old psql",
        r"invalid command \gexec",
        "This psql is older than 9.6",
        "install the one of the server's version",
        words=r"invalid command \\gexec",
    ),
    Trouble(
        "No sudo",
        "sudo: a password is required",
        "The SSH user may not become _sudo_user without a password",
        "allow it in the host's sudoers, or set _sudo_password",
        words=r"^sudo",
    ),
)

RUNNING = (
    Trouble(
        "A table that is missing",
        'relation "..." does not exist',
        "Nothing has created it, or it is in a schema that is not searched",
        "declare it in the same block or before, and write its schema; what pg.sql creates is "
        "declared by provides=",
        states=("42P01",),
    ),
    Trouble(
        "A schema that is missing",
        'schema "..." does not exist',
        "Nothing has created it",
        "declare it by pg.schema in the same block or before",
        states=("3F000",),
    ),
    Trouble(
        "A type or a role that is missing",
        'type "..." does not exist; role "..." does not exist',
        "Nothing has created it, or it is in a schema that is not searched",
        "declare it in the same block or before, and write its schema. Nothing is ever half there "
        "that has to be rolled back: a block is one transaction",
        states=("42704",),
    ),
    Trouble(
        "A function that is missing",
        "function ... does not exist",
        "Nothing has created it for arguments of these types, or it is in a schema that is not "
        "searched",
        "declare it in the same block or before, write its schema, or cast the arguments",
        states=("42883",),
    ),
    Trouble(
        "A right that the role lacks",
        "permission denied for table ...; must be owner of table ...; must be able to SET ROLE",
        "The role that deploys lacks the privilege, ownership or membership for it",
        "grant it to that role, or deploy as a role that has it (postgres_user)",
        states=("42501",),
    ),
    Trouble(
        "Locks of others",
        "no lock after 5 tries; canceling statement due to lock timeout",
        "Other sessions hold locks on the same tables",
        "run again when they have ended (pg_terminate_backend ends one), or wait longer by "
        "postgres_lock_timeout and postgres_lock_attempts",
        states=("55P03",),
    ),
    Trouble(
        "A deadlock",
        "deadlock detected",
        "Another session waits for what this one has locked, and the other way round",
        "run again; the server's log names both statements",
        states=("40P01",),
    ),
    Trouble(
        "A statement that was cancelled",
        "canceling statement due to user request",
        "Somebody has cancelled it, or a limit that SQL of the deploy has set",
        "run again when it may",
        states=("57014",),
    ),
    Trouble(
        "A session that was ended",
        "terminating connection due to administrator command",
        "Somebody has ended the session, or the server stops",
        "run again when it may: the next run goes on from there",
        states=("57P01", "57P02", "57P03", "57P05", "25P03", "25P04"),
    ),
    Trouble(
        "An extension without its files",
        'extension "..." is not available; could not open extension control file',
        "The server does not have the extension's files, or the platform does not offer it",
        "install the package that has it on the server's machine; the query SELECT name FROM "
        "pg_available_extensions tells what there is",
        states=("0A000", "58P01", "22023"),
        words=r"^extension .* (is not available|has no)|extension control file",
    ),
    Trouble(
        "A library that is not loaded",
        "... must be loaded via shared_preload_libraries",
        "The server loads that extension's library only as it starts",
        "add it to shared_preload_libraries, and start the server again",
        states=("0A000", "55000", "XX000", "58P01"),
        words=r"shared_preload_libraries",
    ),
    Trouble(
        "A database that takes no writes",
        "cannot execute ... in a read-only transaction",
        "It is a standby, or its transactions only read",
        "deploy to the primary, or have default_transaction_read_only off",
        states=("25006",),
    ),
    Trouble(
        "What something else uses",
        "cannot drop ... because other objects depend on it",
        "Objects that the run does not declare use it",
        "declare these by present=False or otherwise in the same block; nothing goes along unasked",
        states=("2BP01",),
    ),
    Trouble(
        "What is there already",
        'relation "..." already exists',
        "Something of that name is there, which SQL of the deploy creates again",
        "declare it by its own operation, or say when it is done by pg.sql(..., unless=)",
        states=("42P06", "42P07", "42710", "42723", "42701"),
    ),
    Trouble(
        "Rows that stand against it",
        'duplicate key value violates unique constraint "..."; ... violates check constraint; '
        "... contains null values",
        "Rows that are there, or that the run writes, are not as the constraint asks",
        "correct the rows, or declare it for new rows alone by validated=False",
        states=("23502", "23503", "23505", "23514", "23P01"),
    ),
    Trouble(
        "A full disk",
        "could not extend file ...: No space left on device",
        "The server's disk is full",
        "make room there; an index that is built anew needs its own size besides",
        states=("53100",),
    ),
    Trouble(
        "Too little memory",
        "out of memory; out of shared memory",
        "The server has no memory left for it, or a transaction holds more locks than fit",
        "raise max_locks_per_transaction, or divide the block",
        states=("53200",),
    ),
)


def advice(message: str, sqlstate: str = "") -> str:
    """Cause and way out of what is recognised; "" of what is not."""
    known = RUNNING if sqlstate else CONNECTING
    return next((one.advice for one in known if one.is_told(message, sqlstate)), "")


def advised(message: str, sqlstate: str = "") -> str:
    """A message with cause and way out, where they are known."""
    found = advice(message, sqlstate)
    return f"{message}. {found}" if found and found not in message else message
