"""What has to hold of a database after anything that happened to a run."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import Database, Run, finished

from .ground import Ground, ground
from .scene import DEPLOY, LATE
from .wire import Message

_TABLE = "pyinfra_postgres.deploy"
_UNTOUCHED_ROWS = f"""
    SELECT md5(string_agg(r::text, ',' ORDER BY r::text)) FROM (
      SELECT 'item', id::text, a::text, b::text, code::text, customer_id::text, state::text
        FROM shop.item WHERE id <> {LATE}
      UNION ALL SELECT 'customer', id::text, name, '', '', '', '' FROM shop.customer
      UNION ALL SELECT 'untouched', id::text, said, '', '', '', '' FROM shop.untouched) AS r"""
_FILLED = "SELECT count(*) FILTER (WHERE total IS NULL), count(*) FILTER (WHERE total <> 2 * a) "
_FILES = """
    SELECT c.relname, pg_relation_filenode(c.oid) FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'shop' AND c.relkind IN ('r', 'i') AND c.relname = ANY (%s) ORDER BY 1"""
_UNFINISHED = """
    SELECT 'INVALID ' || indexrelid::regclass FROM pg_index WHERE NOT indisvalid
    UNION ALL SELECT 'NOT VALID ' || conname FROM pg_constraint WHERE NOT convalidated
    UNION ALL SELECT 'helper ' || conname FROM pg_constraint
               WHERE obj_description(oid, 'pg_constraint') LIKE '%pyinfra%'
    UNION ALL SELECT 'replaced ' || oid::regclass FROM pg_class
               WHERE obj_description(oid, 'pg_class') LIKE 'replaced by %' ORDER BY 1"""
_LEFT = """
    SELECT 'lock ' || locktype || ' ' || coalesce(objid::text, '') FROM pg_locks
     WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND pid <> pg_backend_pid()
    UNION ALL SELECT 'prepared ' || gid FROM pg_prepared_xacts
    UNION ALL SELECT 'temporary ' || relname FROM pg_class WHERE relpersistence = 't'"""
# What the run says of where it stands, and what then has to be so.
_NOTHING = re.compile(r"(?i)nothing was changed|interrupted, before: nothing was")
_NOT_MAIN = re.compile("Nothing of the transaction (stays|is in place)")
_NOT_RECORDED = re.compile("this run is not recorded|could not record")
_MAIN = re.compile(
    r"(?i)(?<!nothing of )the transaction (before it )?is in place(?! as a whole)"
    "|the transaction was committed"
)


@dataclass(frozen=True)
class Reference:
    """What a run that nothing disturbs makes of a database, step by step."""

    plan: dict[str, Any]
    steps: dict[str, set[str]] = field(default_factory=dict)
    """By dump: the stages after which the database looks so."""
    before: str = ""
    after: str = ""
    unfinished: frozenset[str] = frozenset()
    """What is INVALID, NOT VALID or replaced between two of its steps."""
    resumable: frozenset[str] = frozenset()
    """What is INVALID while it is built, or dropped, concurrently."""
    files: tuple[Any, ...] = ()
    """What is not written anew, with the file that has it."""
    rows: str = ""


def schema(database: Database) -> str:
    """`pg_dump -s` without the history that the collection keeps."""
    text = database.dump()
    parts = re.split(r"(?m)^(?=--\n-- Name: )", text)
    return "".join(one for one in parts if "pyinfra_postgres" not in one)


def one(database: Database, query: str, *given: Any) -> list[tuple[Any, ...]]:
    """The rows of a query, in a session of the test's own."""
    with database.connect(autocommit=True) as session:
        return session.execute(query, given or None).fetchall()


def kept_plan(database: Database, path: Path, deploy: str = DEPLOY, **data: Any) -> dict[str, Any]:
    """The plan of a deploy as a dry run keeps it."""
    with ground(database, path, deploy, **data) as made:
        made.dry(f"plan={path}/plans")
    (file,) = (path / "plans").glob("*.json")
    return dict(json.loads(file.read_text()))


def learn(database: Database, path: Path, deploy: str = DEPLOY, **data: Any) -> Reference:
    """Run a deploy, and look at the database after each message that changes something."""
    plan = kept_plan(database, path / "plan", deploy, **data)
    before = schema(database)
    steps: dict[str, set[str]] = {before: {"before"}}
    unfinished: set[str] = set()
    texts = {
        action["statement"]: action["stage"]
        for transaction in plan["transactions"]
        for action in transaction["plan"]["actions"]
    }
    names = one(
        database,
        "SELECT array_agg(relname::text) FROM pg_class WHERE relnamespace = 'shop'::regnamespace",
    )
    files = tuple(one(database, _FILES, names[0][0]))
    ((rows,),) = one(database, _UNTOUCHED_ROWS)

    def look(message: Message) -> None:
        stages = {texts[each] for each in message.statements if each in texts}
        is_done = len(message.statements) == 1 or message.statements[-1:] == ("COMMIT",)
        if stages and is_done:
            steps.setdefault(schema(database), set()).update(stages)
            unfinished.update(name for (name,) in one(database, _UNFINISHED))

    with ground(database, path / "run", deploy, **data) as made:
        made.wire.watcher = look
        finished(made.run_begins()).succeeded()
        made.settle()
    after = schema(database)
    kept = dict(one(database, _FILES, names[0][0]))
    return Reference(
        plan,
        steps,
        before,
        after,
        frozenset(unfinished),
        frozenset(
            f"INVALID shop.{name}"
            for each in re.findall(
                r"(?:CREATE|DROP) INDEX CONCURRENTLY (?:IF EXISTS )?([\w.]+)", json.dumps(plan)
            )
            for name in [each.removeprefix("shop.")]
        ),
        tuple((name, file) for name, file in files if kept.get(name) == file),
        rows,
    )


@dataclass
class Law:
    """What is asked of a database, with what it should be."""

    reference: Reference
    is_foreign: bool = False
    """Whether somebody else changed the database, so that it may differ from what was declared."""
    is_shared: bool = False
    """Whether another run did, so that what one says holds for itself alone."""

    def between(self, ground: Ground, run: Run) -> None:
        """What holds once no session of the run is left, wherever it ended."""
        database, known = ground.database, self.reference
        mend(database)
        dump = schema(database)
        assert self.is_foreign or dump in known.steps, differs(dump, known)
        self._rows(database)
        if not self.is_foreign:
            found = {name for (name,) in one(database, _UNFINISHED)}
            assert found <= known.unfinished | known.resumable, found
        assert one(database, _LEFT) == []
        self._truth(database, run, known.steps.get(dump, set()))

    def _rows(self, database: Database) -> None:
        assert one(database, _UNTOUCHED_ROWS) == [(self.reference.rows,)]
        ((_, wrong),) = one(database, _FILLED + "FROM shop.item")
        assert wrong == 0
        names = [name for name, _ in self.reference.files]
        now = one(database, _FILES, names)
        assert tuple(now) == self.reference.files, "something was written anew"

    def _truth(self, database: Database, run: Run, stages: set[str]) -> None:
        """Exit status, output and history say what is so."""
        said = run.output
        assert "Traceback" not in said, said
        if run.code == 0 and not self.is_foreign:
            self._is_complete(database)
        if not self.is_foreign:
            is_main = bool(stages & {"main", "after"})
            if run.code and not self.is_shared:
                self._stands(said, stages, is_main)
            self._recorded(database, run, is_main)

    @staticmethod
    def _stands(said: str, stages: set[str], is_main: bool) -> None:
        """What a run says of where its plan stands is so."""
        assert not (_NOTHING.search(said) and "before" not in stages), (stages, said)
        assert not (_NOT_MAIN.search(said) and is_main), (stages, said)
        assert not (_MAIN.search(said) and not is_main), (stages, said)

    def _recorded(self, database: Database, run: Run, is_main: bool) -> None:
        """What history says is so, but where the run said that it could not write it."""
        rows = history(database)
        if not _NOT_RECORDED.search(run.output):
            last = [(one.state, one.is_ended) for one in rows[-1:]]
            assert run.code or last in ([], [("applied", True)]), (rows, run.output)
        told = {one.is_applied for one in rows if one.has_main}
        assert told <= {is_main} or self.is_shared, (rows, is_main, run.output)

    def _is_complete(self, database: Database) -> None:
        unfinished = [name for (name,) in one(database, _UNFINISHED)]
        assert not unfinished, unfinished
        dump = schema(database)
        assert dump == self.reference.after, differs(dump, self.reference)
        ((empty, _),) = one(database, _FILLED + "FROM shop.item")
        assert empty == 0

    def after(self, ground: Ground) -> None:
        """What holds then: a run completes it, and the one after that changes nothing."""
        database = ground.database
        said = ground.next().succeeded().output
        mend(database)
        self._rows(database)
        self._is_complete(database)
        # A run that changes nothing writes nothing, so that it closes no row either.
        is_open = [one for one in history(database) if not one.is_ended]
        is_written = "no changes" not in said and not _NOT_RECORDED.search(said)
        assert is_open == [] or not is_written, (is_open, said)
        with database.untouched():
            said = ground.next().succeeded().output
        assert "no changes" in said, said
        assert one(database, _LEFT) == []


def mend(database: Database) -> None:
    """Take away what others have left."""
    with database.connect(autocommit=True) as session:
        session.execute(f"DELETE FROM shop.item WHERE id = {LATE}")
        session.execute("ALTER TABLE shop.customer DROP COLUMN IF EXISTS foreign_one")


@dataclass(frozen=True)
class Row:
    """What is recorded of a plan."""

    state: str
    is_applied: bool
    is_ended: bool
    error: str | None
    has_main: bool
    """Whether it has a transaction."""


def history(database: Database) -> list[Row]:
    """What is recorded, the oldest first."""
    if one(database, f"SELECT to_regclass('{_TABLE}')") == [(None,)]:
        return []
    query = f"""SELECT state, applied_at IS NOT NULL, ended_at IS NOT NULL, error,
                       statements @> '[{{"stage": "main"}}]' FROM {_TABLE} ORDER BY started_at"""
    return [Row(*each) for each in one(database, query)]


def differs(dump: str, known: Reference) -> str:
    """In what a dump differs from the nearest that is known."""
    nearest = min(
        known.steps, key=lambda each: len(set(each.splitlines()) ^ set(dump.splitlines()))
    )
    lines = difflib.unified_diff(nearest.splitlines(), dump.splitlines(), lineterm="", n=1)
    return f"after {known.steps[nearest]}:\n" + "\n".join(lines)
