"""What a database keeps of the plans that run on it, as SQL: a row of one table for each.

The row is written before a plan begins, in the plan's transaction, and once all is done. So it says
that the transaction is in place exactly where that is so, whatever became of the session.

Nothing that anybody else has written runs with it: each time the table has to be as it is declared
here, without defaults, triggers, rules, policies or expressions, and nobody can change that until
the write is done. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import TypeAlias

from attrs import field, frozen

from ..catalog import snapshot as snapshots
from ..catalog.locks import IS_DEPLOY_LOCK
from ..catalog.snapshot import OWN_SCHEMA, Fingerprint
from ..hidden import masked
from ..plan.plan import Plan, Stage
from ..syntax.names import literal

TABLE = f"{OWN_SCHEMA}.deploy"
COLUMNS = {
    "run": ("text", True),
    "host": ("text", True),
    "block": ("integer", True),
    "state": ("text", True),
    "started_at": ("timestamp with time zone", True),
    "applied_at": ("timestamp with time zone", False),
    "ended_at": ("timestamp with time zone", False),
    "duration": ("interval", False),
    "changes": ("text", True),
    "plan": ("text", True),
    "statements": ("jsonb", True),
    "fingerprint_before": ("text", True),
    "fingerprint_after": ("text", False),
    "role": ("text", True),
    "account": ("text", True),
    "controller": ("text", True),
    "git_commit": ("text", False),
    "version": ("text", True),
    "unproven": ("text", False),
    "error": ("text", False),
    "process": ("integer", True),
    "inverse": ("jsonb", False),
    "undoes": ("text", False),
}
"""The columns with their types, and whether they have to have a value."""
NEW = ("inverse", "undoes")
"""Those at their end that a table of a former version lacks."""
KEY = ("run", "host", "block")
NO_SCHEMA = f"NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = '{OWN_SCHEMA}')"
"""The condition that its schema is not there."""
Creating: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]
"""Statements that make what is missing, behind the condition that it is."""
UNFIT = "PG003"
"""The SQLSTATE where the table is not what may be written to."""

_TABLE = f"""
    SELECT c.oid, c.relowner, n.nspowner, c.relkind, c.relrowsecurity
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = '{OWN_SCHEMA}' AND c.relname = 'deploy'"""
_COLUMNS = [[name, kind, required] for name, (kind, required) in COLUMNS.items()]
_FORMER = _COLUMNS[: -len(NEW)]
_PLACES = " ".join(str(list(COLUMNS).index(name) + 1) for name in KEY)
_KNOWN_COLUMNS = """(SELECT jsonb_agg(jsonb_build_array(attname, format_type(atttypid, atttypmod),
                                        attnotnull) ORDER BY attnum)
           FROM pg_attribute WHERE attrelid = t.oid AND attnum > 0 AND NOT attisdropped)"""
_IS_NEW = f"({_KNOWN_COLUMNS} = {literal(json.dumps(_COLUMNS))}::jsonb)"
_IS_FORMER = f"({_KNOWN_COLUMNS} = {literal(json.dumps(_FORMER))}::jsonb)"
NO_TABLE = f"NOT EXISTS ({_TABLE})"
"""The condition that the table is not there."""
IS_FORMER = f"EXISTS (SELECT FROM ({_TABLE}) AS t WHERE {_IS_FORMER})"
"""The condition that it is one of a former version."""
_IS_KNOWN = f"""(
    t.relkind = 'r' AND NOT t.relrowsecurity
    AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = t.oid)
    AND NOT EXISTS (SELECT FROM pg_rewrite WHERE ev_class = t.oid)
    AND NOT EXISTS (SELECT FROM pg_attrdef WHERE adrelid = t.oid)
    AND NOT EXISTS (SELECT FROM pg_inherits WHERE t.oid IN (inhrelid, inhparent))
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = t.oid AND contype NOT IN ('p', 'n'))
    AND (SELECT count(*) = 1 AND bool_and(indisprimary AND indkey::text = '{_PLACES}')
           FROM pg_index WHERE indrelid = t.oid)
    AND ({_IS_NEW} OR {_IS_FORMER}))"""
_UNREADABLE = f"""
    SELECT CASE
      WHEN NOT {_IS_KNOWN} THEN '{TABLE} is not the table that this version declares'
      WHEN NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(t.oid, 'SELECT'))
        THEN format('role %I may not read {TABLE}', current_user) END
      FROM ({_TABLE}) AS t, pg_namespace n WHERE n.nspname = '{OWN_SCHEMA}'"""

# How a plan ended of which nothing is heard any more, from its row `d`.
_BEFORE, _MAIN, _AFTER = (
    f"""d.statements @> '[{{"stage": "{one.value}"}}]'"""
    for one in (Stage.BEFORE, Stage.MAIN, Stage.AFTER)
)
_IS_WHOLE = f"d.state = 'applied' AND NOT {_AFTER}"
_CUT_OFF = f"""CASE
      WHEN d.state = 'applied'
        THEN 'cut off after the transaction, which is in place: the next run completes the rest'
      WHEN NOT {_MAIN} THEN 'cut off: the catalog tells what of it is in place'
      WHEN {_BEFORE}
        THEN 'cut off: nothing of the transaction is in place; what comes before it may be'
      ELSE 'cut off: nothing of it is in place' END"""
_SETTLED = f"""
  UPDATE {TABLE} d SET
         state = CASE WHEN {_IS_WHOLE} THEN d.state ELSE 'failed' END,
         ended_at = CASE WHEN {_IS_WHOLE} THEN d.applied_at ELSE clock_timestamp() END,
         error = CASE WHEN {_IS_WHOLE} THEN NULL ELSE {_CUT_OFF} END
   WHERE d.ended_at IS NULL"""
_RUNS = f"""EXISTS (SELECT FROM pg_locks l WHERE l.pid = d.process AND {IS_DEPLOY_LOCK})"""
_ANSWER = "pyinfra_postgres_history"


def _untrusted(trusted: Iterable[str]) -> str:
    """The roles that may not own what is written to."""
    names = literal("{" + ",".join(map(json.dumps, sorted(trusted))) + "}")
    return f"""(SELECT oid, rolname FROM pg_roles WHERE NOT rolsuper
       AND rolname NOT IN (current_user, session_user) AND rolname <> ALL ({names}::name[]))"""


def _objection(trusted: Iterable[str], known: str = f"({_IS_KNOWN} AND {_IS_NEW})") -> str:
    """A query for what stands against writing to the table: a text, null, or no row without it.

    `known` is the condition for a table that may be written to.
    """
    return f"""
    SELECT CASE
      WHEN NOT {known} THEN '{TABLE} is not the table that this version declares'
      WHEN o.rolname IS NOT NULL
        THEN format('{TABLE} belongs to %I, whom this run does not trust', o.rolname)
      WHEN NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(t.oid, 'SELECT')
                AND has_table_privilege(t.oid, 'INSERT') AND has_table_privilege(t.oid, 'UPDATE'))
        THEN format('role %I lacks USAGE on schema {OWN_SCHEMA}, or SELECT, INSERT and UPDATE on '
                    '{TABLE}', current_user) END
      FROM ({_TABLE}) AS t JOIN pg_namespace n ON n.nspname = '{OWN_SCHEMA}'
      LEFT JOIN {_untrusted(trusted)} AS o ON o.oid IN (t.relowner, n.nspowner)
     ORDER BY o.rolname LIMIT 1"""


def reading(trusted: Iterable[str], rows: str, without: Container[str] = ("inverse",)) -> list[str]:
    """The statements that read the table's state, as one row, and then those rows of it.

    `rows` is the rest of a query of `d`; of its columns some are left out. They are read where that
    calls nothing of anybody's.
    """
    state = f"""
    SELECT json_build_object(
      'database', current_database(),
      'role', current_user,
      'schema', EXISTS (SELECT FROM pg_namespace WHERE nspname = '{OWN_SCHEMA}'),
      'holder', (SELECT o.rolname FROM pg_namespace n JOIN {_untrusted(trusted)} AS o
                   ON o.oid = n.nspowner WHERE n.nspname = '{OWN_SCHEMA}'),
      'table', EXISTS ({_TABLE}),
      'creates', coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace
                            WHERE nspname = '{OWN_SCHEMA}'),
                          has_database_privilege(current_database(), 'CREATE')),
      'unreadable', ({_UNREADABLE}),
      'lacks', (SELECT {_IS_FORMER} FROM ({_TABLE}) AS t),
      'owns', (SELECT pg_has_role(t.relowner, 'USAGE') FROM ({_TABLE}) AS t),
      'unwritable', ({_objection(trusted, _IS_KNOWN)}))"""
    columns = ", ".join(
        f"'{name}', {f'to_jsonb(d) -> {literal(name)}' if name in NEW else f'd.{name}'}"
        for name in COLUMNS
        if name not in without
    )
    query = f"""SELECT json_build_object({columns}, 'runs', d.ended_at IS NULL AND {_RUNS},
      'cut_off', CASE WHEN d.ended_at IS NULL AND NOT ({_IS_WHOLE}) THEN {_CUT_OFF} END)
      FROM {TABLE} d {rows}"""
    return [
        "BEGIN READ ONLY",
        *snapshots.PINS,
        "SET LOCAL lock_timeout = '1s'",
        state,
        f"""DO $read$ DECLARE answer refcursor := '{_ANSWER}'; BEGIN
  OPEN answer FOR SELECT NULL::json WHERE false;
  IF EXISTS ({_TABLE}) AND ({_UNREADABLE}) IS NULL THEN
    LOCK TABLE {TABLE} IN ACCESS SHARE MODE;
    IF ({_UNREADABLE}) IS NULL THEN
      CLOSE answer;
      OPEN answer FOR EXECUTE {literal(query)};
    END IF;
  END IF;
END $read$""",
        f"FETCH ALL FROM {_ANSWER}",
        "COMMIT",
    ]


@frozen
class Record:
    """What history has of one plan's run, as statements that write it."""

    key: tuple[str, str, int]
    """The run, the host and the block."""
    values: Mapping[str, str | None]
    """Of other columns, those that are known before it begins."""
    trusted: frozenset[str]
    fingerprint: Fingerprint
    creating: Creating = ()
    """Statements that make the table first."""
    computed: Mapping[str, str] = field(factory=dict)
    """The columns whose values are only known in the session, as SQL."""

    @property
    def started(self) -> list[str]:
        """The transaction that writes the row.

        It is under the deploy lock, so that no other plan runs: what is open was cut off.
        """
        known = {*KEY, *self.values, *self.computed}
        given = ", ".join(
            f"{self._value(name)}::{kind}" for name, (kind, _) in COLUMNS.items() if name in known
        )
        # A plan that is made anew once the transaction is in place is what was left of it.
        kept = "".join(
            f"{name} = CASE WHEN d.applied_at IS NULL THEN excluded.{name} ELSE d.{name} END, "
            for name in [*self.values, *(self.computed.keys() - {*KEY}), "state"]
        )
        written = f"""{_SETTLED} AND NOT {self._is_own};
  INSERT INTO {TABLE} AS d ({", ".join(name for name in COLUMNS if name in known)},
         state, started_at, role, process)
  VALUES ({given}, 'started', clock_timestamp(), current_user, pg_backend_pid())
  ON CONFLICT ({", ".join(KEY)}) DO UPDATE SET {kept}
         ended_at = NULL, duration = NULL, error = NULL, process = excluded.process;"""
        return self._transaction(*self._created(), self._guarded(written))

    def _created(self) -> Iterator[str]:
        if not self.creating:
            return
        # An event trigger would run; and a session that was lost may have made it.
        yield snapshots.SAME_FOREIGN
        body = ""
        for missing, several in self.creating:
            made = " ".join(f"EXECUTE {literal(one)};" for one in several)
            body += f"\n  IF {missing} THEN {made} END IF;"
        yield f"DO {literal(f'BEGIN{body} END')}"

    def _value(self, column: str) -> str:
        """SQL for the value of a column."""
        if column in self.computed:
            return self.computed[column]
        own = dict(zip(KEY, self.key, strict=True))
        value = own[column] if column in own else self.values[column]
        return literal(None if value is None else str(value))

    @property
    def applied(self) -> str:
        """The statement within the plan's transaction."""
        return self._guarded(self._update("state = 'applied', applied_at = clock_timestamp()"))

    @property
    def ended(self) -> list[str]:
        """The transaction behind the plan's end."""
        digest = snapshots.digest_query(self.fingerprint.unreadable)
        written = f"""
  BEGIN
    after := {digest};
  EXCEPTION WHEN lock_not_available THEN
    NULL;  -- what others have locked for long is no reason to wait
  END;{
            self._update(
                "state = 'applied', applied_at = coalesce(applied_at, clock_timestamp()), "
                "fingerprint_after = after, error = NULL, " + _ENDS
            )
        }"""
        return self._transaction(snapshots.AS_WRITTEN, self._guarded(written, "after text; "))

    @property
    def settled(self) -> list[str]:
        """The transaction where the catalog has told that nothing is left to do."""
        return self._transaction(self._guarded(f"{_SETTLED} AND {self._is_own};"))

    def failed(self, error: str) -> list[str]:
        """The transaction behind a failure; it writes nothing where the plan has not begun."""
        written = self._update(f"state = 'failed', error = {literal(error)}, {_ENDS}", lenient=True)
        return self._transaction(self._guarded(written))

    def reading(self) -> list[str]:
        """The statements that read the row, as `reading` does."""
        return reading(self.trusted, f"WHERE {self._is_own}")

    @property
    def _is_own(self) -> str:
        run, host, _ = map(self._value, KEY)
        return f"(d.run, d.host, d.block) = ({run}, {host}, {self.key[2]})"

    def _update(self, changes: str, *, lenient: bool = False) -> str:
        where = f"{self._is_own} AND d.ended_at IS NULL" if lenient else self._is_own
        missing = f"""
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = '{UNFIT}', MESSAGE = 'the row of this run is gone from {TABLE}';
  END IF;"""
        return f"\n  UPDATE {TABLE} d SET {changes} WHERE {where};{'' if lenient else missing}"

    def _guarded(self, written: str, declared: str = "") -> str:
        """A block that writes to the table if that is as it is declared."""
        body = f"""DECLARE {declared}reason text; BEGIN
  LOCK TABLE {TABLE} IN ROW EXCLUSIVE MODE;
  reason := ({_objection(self.trusted)});
  IF reason IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '{UNFIT}', MESSAGE = reason;
  END IF;{written}
END"""
        return f"DO {literal(body)}"

    @staticmethod
    def _transaction(*statements: str) -> list[str]:
        head = ["BEGIN READ WRITE", *snapshots.PINS, "SET LOCAL lock_timeout = '1s'"]
        return [*head, *statements, "COMMIT"]


_ENDS = (
    "(ended_at, duration) = "
    "(SELECT n.at, n.at - d.started_at FROM (SELECT clock_timestamp() AS at) AS n)"
)


def told(plan: Plan) -> Iterator[dict[str, str]]:
    """The statements of a plan in the order in which they run, without what is hidden."""
    for change, one in plan.in_run_order():
        said = {
            "stage": one.stage.value,
            "object": change.title,
            "action": change.action.value,
            "operation": str(change.operation),
            "place": change.operation.place,
            "statement": one.shown,
        }
        yield {name: masked(text, one.hidden) for name, text in said.items()}
