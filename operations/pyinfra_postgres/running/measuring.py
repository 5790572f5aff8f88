"""The SQL that measures a transaction from within, and what it answers.

Each query prints one row of JSON that begins with a word that no other row of the script has.
Nothing here needs more rights than any role has.
https://www.postgresql.org/docs/current/view-pg-locks.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import frozen

from ..catalog.snapshot import USER_SCHEMA
from ..plan.measured import Observer, Relation, Seen, Taken
from ..syntax.names import Name, literal
from ..transport.answer import read

MAY_READ_WAL = (
    "SELECT to_json(has_function_privilege('pg_catalog.pg_current_wal_insert_lsn()', 'EXECUTE'))"
)
_KNOWN = "pyinfra_postgres.known"
_SINCE = "pyinfra_postgres.since"
_UNTIL = "pyinfra_postgres.until"


@frozen
class Meter:
    """The queries of one rehearsal."""

    word: str
    """With which its rows begin."""
    reads_wal: bool
    """Whether the role may know how much is written."""
    seconds: float
    """How long the transaction may take."""

    @property
    def begin(self) -> list[str]:
        """What tells which relations there are, and remembers when the transaction is to end."""
        relations = f"""
            SELECT c.oid, json_build_array(c.oid::int8, n.nspname, c.relname, c.relkind,
                     c.relfilenode::int8, (SELECT coalesce(json_agg(i.inhparent::int8), '[]')
                       FROM pg_inherits i WHERE i.inhrelid = c.oid))
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE {USER_SCHEMA} AND c.relkind IN ('r', 'p', 'm', 'v', 'f', 'S', 'i', 'I')"""
        return [
            f"""SELECT json_build_array({literal(self.word)},
                  current_setting('track_counts')::boolean, coalesce(json_agg(q.told), '[]'),
                  set_config('{_KNOWN}', coalesce(string_agg(q.oid::text, ','), ''), true) IS NULL)
                  FROM ({relations}) AS q(oid, told)""",
            self._clock(_SINCE),
            f"DO $limit$ BEGIN PERFORM set_config('pyinfra_postgres.limit', (clock_timestamp()"
            f" + interval '{self.seconds} s')::text, true); END $limit$",
            *self.limit,
        ]

    @property
    def limit(self) -> list[str]:
        """What gives the next statement the time that is left: `statement_timeout` counts for each
        of them.
        """
        left = (
            "extract(epoch from current_setting('pyinfra_postgres.limit')::timestamptz"
            " - clock_timestamp())"
        )
        return [
            "DO $left$ BEGIN PERFORM set_config('statement_timeout',"
            f" greatest(1, ({left} * 1000)::int)::text, true); END $left$"
        ]

    @property
    def measure(self) -> list[str]:
        """What tells what the statement before it took, and begins to measure the next one."""
        seen = f"""
            SELECT json_build_array(q.oid::int8, q.modes, c.relfilenode::int8,
                     coalesce(pg_stat_get_xact_tuples_returned(q.oid), 0))
              FROM (SELECT l.relation, json_agg(l.mode)
                      FROM pg_locks l
                      JOIN unnest(string_to_array(current_setting('{_KNOWN}'), ',')::oid[]) k(oid)
                        ON k.oid = l.relation
                     WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
                       AND l.database = (SELECT oid FROM pg_database
                                          WHERE datname = current_database())
                     GROUP BY l.relation) AS q(oid, modes)
              LEFT JOIN pg_class c ON c.oid = q.oid"""
        return [
            self._clock(_UNTIL),
            f"""SELECT json_build_array({literal(self.word)},
                  current_setting('{_SINCE}')::json, current_setting('{_UNTIL}')::json,
                  (SELECT coalesce(json_agg(s.told), '[]') FROM ({seen}) AS s(told)))""",
            *self.limit,
            self._clock(_SINCE),
        ]

    def _clock(self, setting: str) -> str:
        wal = "pg_current_wal_insert_lsn() - '0/0'" if self.reads_wal else "NULL"
        return (
            f"DO $clock$ BEGIN PERFORM set_config('{setting}', json_build_array("
            f"extract(epoch from clock_timestamp()), {wal})::text, true); END $clock$"
        )

    def rows(self, rows: Sequence[str]) -> Iterator[list[Any]]:
        """Those that the queries have printed. Raises HostError."""
        for row in rows:
            if row.startswith(f'["{self.word}"'):
                yield read(row)[1:]


def observer(row: Sequence[Any]) -> Observer:
    """What compares, with the relations that there are."""
    counts, told, _ = row
    relations = {
        oid: Relation(oid, Name(schema, name), kind, file, tuple(parents))
        for oid, schema, name, kind, file, parents in told
    }
    return Observer(relations, bool(counts))


def taken(row: Sequence[Any]) -> Taken:
    """What was measured behind a statement."""
    (began, before), (ended, after), told = row
    return Taken(
        round((ended - began) * 1000, 3),
        None if before is None or after is None else int(after - before),
        {oid: Seen(tuple(modes), file, count) for oid, modes, file, count in told},
    )
