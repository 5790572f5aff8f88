"""Advice from other programs: pgrls judges the row security of a database, squawk a plan's SQL.

They are commands, and no part of this package: it imports neither, and asks those that are there.
https://pypi.org/project/pgrls/ https://squawkhq.com/docs/rules
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Any

from attrs import Factory, define
from psycopg import conninfo

from ..catalog.snapshot import USER_SCHEMA
from ..errors import DeclarationError
from ..planning.session import Session
from ..syntax.parse import closed, statements
from ..transport.connector import PostgresConnector
from ..transport.endpoint import endpoint
from ..transport.host_data import read
from .facts import Finding, Fix, Step
from .gaps import without_quotes, without_values

MODES = ("anon", "cross-tenant", "write", "escalation", "reachability")
"""What pgrls tries to prove: that nobody, no other tenant, no writer gets past the policies."""
_PATIENCE = 120
"""Seconds for one command."""
# That is for scripts that do not know what exists: a plan has read it.
_EXCLUDED = ("prefer-robust-stmts",)
_SETTINGS = ("SET lock_timeout = '1s'", "SET statement_timeout = '1s'")
_PLACES = f"""
    SELECT json_build_array(n.nspname || '.' || c.relname, format('table %s', c.oid::regclass))
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE relkind IN ('r', 'p', 'f') AND {USER_SCHEMA}
    UNION ALL
    SELECT json_build_array(n.nspname || '.' || c.relname, format('view %s', c.oid::regclass))
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE relkind IN ('v', 'm') AND {USER_SCHEMA}
    UNION ALL
    SELECT json_build_array(n.nspname || '.' || p.proname, format('function %s',
             p.oid::regprocedure))
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {USER_SCHEMA}
    UNION ALL
    SELECT json_build_array(n.nspname || '.' || c.relname || '.' || polname,
             format('policy %I on %s', polname, c.oid::regclass))
      FROM pg_policy JOIN pg_class c ON c.oid = polrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {USER_SCHEMA}
    UNION ALL
    SELECT json_build_array(n.nspname || '.' || c.relname || '.' || tgname,
             format('trigger %I on %s', tgname, c.oid::regclass))
      FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT tgisinternal AND {USER_SCHEMA}"""
# What may stand in quotes: other words there may be values.
_NAMES = f"""
    SELECT DISTINCT to_json(name)::text FROM (
      SELECT attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE attnum > 0 AND {USER_SCHEMA}
      UNION ALL SELECT polname FROM pg_policy
      UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
      UNION ALL SELECT lanname FROM pg_language UNION ALL SELECT rolname FROM pg_roles)
      AS every (name)"""
_QUOTED = re.compile(r"(?<!\w)'([^']*)'(?!\w)")
# What tells who is asking: functions without arguments that policies call, and that answer with
# more than yes or no.
_IDENTITIES = f"""
    SELECT DISTINCT to_json(n.nspname || '.' || p.proname)::text
      FROM pg_depend d JOIN pg_proc p ON p.oid = d.refobjid
      JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE d.classid = 'pg_policy'::regclass AND d.refclassid = 'pg_proc'::regclass
       AND p.pronargs = 0 AND p.prorettype <> 'bool'::regtype AND {USER_SCHEMA} ORDER BY 1"""
_MEND = re.compile(r"(?<=[.:;] )[^.`]*\b(?:[Rr]un|[Ii]ssue|[Ee]xecute) `([^`]+)`[^.`]*\.?")
"""The sentence with what to run; code elsewhere is an example."""
_ALLOWLIST = re.compile(r"[^.]*\b[Aa]llowlist .*", re.DOTALL)
"""Accepting has a way of its own here."""
_SEVERITIES = {"error": "error", "warning": "warning", "info": "note", "Error": "error"}


@define
class Judged:
    """What a program has found."""

    findings: list[Finding] = Factory(list)
    unasked: str = ""
    """Why it was not asked, or not about all of it."""
    about: frozenset[str] | None = None
    """The objects that it was asked about; None for all."""


class _FailedError(Exception):
    """A command that has not answered."""


def row_security(session: Session) -> Judged:
    """What pgrls says of a database. Raises HostError."""
    command = _command(session, "pgrls")
    if command is None:
        return Judged(unasked=_absent(session, "pgrls", "the row security of the database"))
    connector = session.host.connector
    if not isinstance(connector, PostgresConnector):
        return Judged(unasked="pgrls was not asked: only the host itself reaches the database")
    given = connector.dsn()
    # By the environment: arguments are everybody's to read.
    environment = {"DATABASE_URL": conninfo.make_conninfo(given, **endpoint(given).changes)}
    schemas = session.ask(
        f"SELECT to_json(n.nspname) FROM pg_namespace n WHERE {USER_SCHEMA} ORDER BY n.nspname"
    )
    # A name with a comma is for pgrls.toml to say.
    listed = [] if any("," in one for one in schemas) else ["--schemas", ",".join(schemas)]
    names = frozenset(session.ask(_NAMES))
    places: dict[str, str] = {}
    for location, title in session.ask(_PLACES):
        places.setdefault(location, title)
    judged = Judged()
    try:
        answer = _json(command, ["lint", "--format", "json", *listed], environment)
        judged.findings += [_violation(one, places, names) for one in answer["violations"]]
        for mode in MODES:
            options = ["verify", "--mode", mode, "--format", "json", *listed]
            options += [f"--auth-function={one}" for one in session.ask(_IDENTITIES)]
            answer = _json(command, options, environment)
            judged.findings += _leaks(mode, answer, places)
    except _FailedError as error:
        judged.unasked = f"pgrls was not asked about all of it: {error}"
    except (KeyError, TypeError, AttributeError):
        judged.unasked = "pgrls was not asked about all of it: it answers in another form"
    return judged


def plan(session: Session, fix: Fix) -> Judged:
    """What squawk says of the SQL of a plan, as a person would run it."""
    command = _command(session, "squawk")
    if command is None:
        return Judged(unasked=_absent(session, "squawk", "the SQL of the plan"), about=frozenset())
    about = frozenset(one.title for one in fix.steps)
    if not fix.steps:
        return Judged(about=about)
    pieces = list(_script(fix.steps))
    starts = list(accumulate((text.count("\n") for text, _ in pieces), initial=0))
    options = ["--reporter", "json", "--stdin-filepath", "plan.sql"]
    options += [f"--exclude={rule}" for rule in _EXCLUDED]
    found: dict[tuple[str, str], Finding] = {}
    try:
        for one in _json(command, options, {}, "".join(text for text, _ in pieces)):
            step = pieces[bisect_right(starts, one["line"]) - 1][1]
            # What is hidden is no SQL to anybody.
            if step and one["rule_name"] != "syntax-error":
                finding = _warning(one, step)
                found.setdefault((finding.rule, finding.what), finding)
    except _FailedError as error:
        return Judged(unasked=f"squawk was not asked about the plan: {error}", about=frozenset())
    except (KeyError, TypeError, AttributeError):
        said = "squawk was not asked about the plan: it answers in another form"
        return Judged(unasked=said, about=frozenset())
    return Judged(list(found.values()), about=about)


def _script(steps: Iterable[Step]) -> Iterator[tuple[str, Step | None]]:
    """The SQL of a plan with the step that each piece is of: line breaks are between pieces."""
    stage = ""
    yield from ((f"{one};\n", None) for one in _SETTINGS)
    for step in steps:
        if step.stage != stage:
            if stage == "main":
                yield "COMMIT;\n", None
            if step.stage == "main":
                yield "BEGIN;\n", None
            stage = step.stage
        for sql in step.sql:
            yield f"{closed(sql)};\n", step
    if stage == "main":
        yield "COMMIT;\n", None


def _violation(one: Mapping[str, Any], places: Mapping[str, str], names: frozenset[str]) -> Finding:
    said, mend = _told(one["message"], names)
    what = places.get(one["location"], one["location"])
    return Finding(
        f"pgrls {one['rule_id']}", what, said, mend, severity=_SEVERITIES[one["severity"]]
    )


def _leaks(mode: str, answer: Mapping[str, Any], places: Mapping[str, str]) -> Iterator[Finding]:
    for one in answer["tables"]:
        if one["verdict"] == "leak":
            named = [each["policy"] for each in one["policies"] if each["verdict"] == "leak"]
            by = f" by {', '.join(map(str, named))}" if any(named) else ""
            said = f"a row gets past its policies{by}, as is proven in mode {mode}"
            what = places.get(one["table"], one["table"])
            yield Finding(f"pgrls {mode}", what, said, severity="error")


def _warning(one: Mapping[str, Any], step: Step) -> Finding:
    said = _sentence(str(one["message"]))
    if one.get("help"):
        said = f"{said}. {_sentence(str(one['help']))}"
    severity = _SEVERITIES.get(one["level"], "warning")
    return Finding(
        f"squawk {one['rule_name']}", step.title, said, severity=severity, place=step.place
    )


def _told(message: str, names: frozenset[str]) -> tuple[str, str]:
    """What is said, and the statement that mends it, if one is named."""
    said = _ALLOWLIST.sub("", message)
    found = _MEND.search(message)
    with suppress(DeclarationError):
        if found and statements(found[1]):
            said = said.replace(found[0], "")
            return _sentence(said, names), without_values(found[1].rstrip().rstrip(";"))
    return _sentence(said or message, names), ""


def _sentence(text: str, names: frozenset[str] = frozenset()) -> str:
    """Words as all findings have them: without values, code marks and the last stop."""
    plain = " ".join(text.replace("`", "").split())
    kept = _QUOTED.sub(lambda one: one[1] if one[1] in names else one[0], plain)
    return without_quotes(kept).rstrip(".")


def _command(session: Session, name: str) -> str | None:
    """The command of a program: what host data says, or what is in this environment or the PATH."""
    given = read(session.host.data.dict(), f"postgres_{name}", None)
    if given is False:
        return None
    if given:
        return shutil.which(str(Path(given).expanduser()))
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.is_file() else shutil.which(name)


def _absent(session: Session, name: str, what: str) -> str:
    given = read(session.host.data.dict(), f"postgres_{name}", None)
    if given is False:
        return f"{name} was not asked about {what}: postgres_{name} is False"
    where = f"there is no command {given}" if given else "it is not installed"
    return f"{name} was not asked about {what}: {where}"


def _json(
    command: str, options: Sequence[str], environment: Mapping[str, str], given: str = ""
) -> Any:
    """What a command answers. Its exit code tells whether it has found anything."""
    try:
        done = subprocess.run(  # noqa: S603
            [command, *options],
            input=given,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_PATIENCE,
            env={**os.environ, **environment},
            check=False,
        )
        return json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise _FailedError(f"{options[0]} took longer than {_PATIENCE} s") from None
    except OSError as error:
        raise _FailedError(f"it can't be run: {error.strerror}") from None
    except ValueError:
        # What it says may have the connection string in it.
        raise _FailedError(
            f"{options[0]} ended with exit code {done.returncode} and no answer"
        ) from None
