"""What the statements of a plan lock, each by itself: the server's own pg_locks is the judge."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import psycopg

from harness.cli import until
from harness.servers import Database
from pyinfra_postgres.plan.measured import Observer, Relation, Seen
from pyinfra_postgres.plan.plan import Mode, Plan, Stage, Statement
from pyinfra_postgres.syntax.names import Name

Session = psycopg.Connection[Any]

_RELATIONS = """
    SELECT c.oid::int, n.nspname, c.relname, c.relkind::text, c.relfilenode::int,
           ARRAY(SELECT i.inhparent::int FROM pg_inherits i WHERE i.inhrelid = c.oid)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid >= 16384"""
_HELD = """
    SELECT relation::int, array_agg(mode) FROM pg_locks
     WHERE pid = %s AND locktype = 'relation' GROUP BY relation"""


def differences(database: Database, plan: Plan) -> list[str]:
    """Run a plan statement by statement, each committed, and tell which locks they do not take as
    they say.
    """
    with database.connect(autocommit=True) as session:
        relations = _relations(session)
        found: list[str] = []
        for _, one in plan.in_run_order():
            # What comes after the transaction says names as they are by then.
            if one.stage is Stage.AFTER:
                now = _relations(session)
                relations = {oid: now[oid] for oid in relations if oid in now}
            found += (
                f"{said}: {one.sql}" for said in _differing(database, session, one, relations)
            )
    return found


def _differing(
    database: Database, session: Session, one: Statement, relations: dict[int, Relation]
) -> Iterator[str]:
    observer = Observer(relations, counts=False)
    session.execute(one.path.session)
    if "CONCURRENTLY" in one.sql:
        held = _concurrently(database, session, one, relations)
        # Detaching ends with the partition's own lock.
        declared = [each for each in one.locks if each.mode is Mode.SHARE_UPDATE_EXCLUSIVE]
        assert declared, one
    else:
        with session.transaction():
            session.execute(one.sql.encode())
            held = _held(session, session, relations)
        # It looks at what the statement behind it locks.
        declared = [] if one.sql.startswith("DO $guard$") else list(one.locks)
    new = observer.observe(held)
    yield from observer.locked_otherwise(one.locks, new)
    yield from observer.not_taken(declared)


def _concurrently(
    database: Database, session: Session, one: Statement, relations: dict[int, Relation]
) -> dict[int, Seen]:
    """What it holds or waits for while others have what it says that it takes first."""
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(database.connect())
        watcher = stack.enter_context(database.connect(autocommit=True))
        for lock in one.locks:
            if lock.mode is Mode.SHARE_UPDATE_EXCLUSIVE:
                other.execute(f"LOCK TABLE ONLY {lock.relation} IN {lock.mode.value} MODE".encode())
        pid = session.info.backend_pid
        running = threading.Thread(target=session.execute, args=[one.sql.encode()])
        running.start()
        until(
            lambda: (
                watcher.execute(
                    "SELECT FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'",
                    [pid],
                ).fetchone()
                is not None
            )
        )
        found = _held(watcher, session, relations)
        other.rollback()
        running.join()
    return found


def _relations(session: Session) -> dict[int, Relation]:
    return {
        oid: Relation(oid, Name(schema, name), kind, file, tuple(parents))
        for oid, schema, name, kind, file, parents in session.execute(_RELATIONS)
    }


def _held(by: Session, of: Session, relations: dict[int, Relation]) -> dict[int, Seen]:
    rows = by.execute(_HELD, [of.info.backend_pid]).fetchall()
    return {
        oid: Seen(tuple(modes), relations[oid].file, 0) for oid, modes in rows if oid in relations
    }
