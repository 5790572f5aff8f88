"""Values that no argument, or hardly one, is meant to have; and a declaration of each kind."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

from pyinfra.api import HiddenValue

import pyinfra_postgres as pg
from laws.sample import Sample
from pyinfra_postgres.objects.access.roles import Membership

NO_ARGUMENT: tuple[Any, ...] = (
    object(),
    b"bytes",
    1 + 2j,
    [[["deep"]]],
    {"a": object()},
    {1: 2},
    [b"bytes"],
    [None],
    len,
)
"""What is right for no argument at all."""

TEXTS = (
    *("", " ", "\n", "x", "X Y", "x.y", "a.b.c.d", "5", "\u017f", "größe", "\u202e"),
    *("\x00", "a\x00b", "\udc80", "a\udc80", "x" * 64, "ö" * 32, '"' + "x" * 70 + '"', "x" * 70000),
    *("x; DROP TABLE victim; --", "x); DROP TABLE victim; --", "x') ; DROP TABLE victim; --"),
    *("'", '"', "''", '""', "/*", "*/", "--", "x -- y", "$$", "$function$", "$1", "\\", "E'\\''"),
    *("(", ")", "()", "[", "{", "%s", "{}", "x, y", "x y z", "NULL", "DEFAULT", "public", "PUBLIC"),
    *("int STABLE SECURITY DEFINER", "p(id) ON DELETE CASCADE", "btree (x)", "CURRENT_DATE"),
    *("(" * 300 + "1" + ")" * 300, " + ".join(["1"] * 2000), "NOT " * 1500 + "true"),
)
ZOO: tuple[Any, ...] = (
    *NO_ARGUMENT,
    *(None, True, False, 0, 1, -1, 5, 2**31, 2**63, -(2**70), 10**400),
    *(0.0, 0.5, 1e308, 1e-320, math.nan, math.inf, -math.inf),
    *(Decimal("1.5"), Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity")),
    *(date(2025, 1, 1), datetime(2025, 1, 1, tzinfo=UTC), timedelta(1), Path("x")),
    *([], (), {}, set(), frozenset({"a"}), [[]], [()], ["a", 5], ["a", "a"], [5], [""], ("a", "b")),
    *({"a": "b"}, {"a": None}, {"a": ["b"]}, {"": "b"}, {"a\udc80": "b"}, {"a": "\udc80"}, [{}]),
    *(["\udc80"], ["x" * 64], ["x; DROP TABLE victim; --"], [HiddenValue("secret")]),
    *(HiddenValue("secret"), pg.SQL("1"), pg.Column("c", "text"), pg.Check("true")),
    *TEXTS,
)


def _beside_tests(name: str) -> Iterator[Sample]:
    """The samples of this name that the tests of kinds have beside them."""
    for path in sorted((Path(__file__).parents[1] / "kinds").glob("test_*.py")):
        if f"\n{name} = " in path.read_text():
            yield getattr(import_module(f"kinds.{path.stem}"), name)


_TABLE = "CreateStmt AlterTableStmt CommentStmt AlterOwnerStmt"
SAMPLES = (
    *_beside_tests("SAMPLE"),
    Sample(pg.Schema, {"name": "s"}, "CreateSchemaStmt AlterOwnerStmt CommentStmt"),
    Sample(pg.Role, {"name": "r"}, "CreateRoleStmt GrantRoleStmt CommentStmt"),
    Sample(pg.Extension, {"name": "e"}, "CreateExtensionStmt CommentStmt"),
    Sample(pg.Enum, {"name": "e", "labels": ["a"]}, "CreateEnumStmt AlterOwnerStmt CommentStmt"),
    Sample(
        pg.Domain,
        {"name": "d", "type": "text"},
        "CreateDomainStmt AlterDomainStmt AlterOwnerStmt CommentStmt",
    ),
    Sample(pg.Table, {"name": "t", "columns": [pg.Column("a", "text")]}, _TABLE),
    Sample(pg.Sequence, {"name": "s"}, "CreateSeqStmt AlterSeqStmt AlterTableStmt CommentStmt"),
    Sample(
        pg.Partition,
        {"name": "p", "of": "t", "values": "FOR VALUES IN (1)"},
        _TABLE,
    ),
    Sample(
        pg.Partitions,
        {"table": "t", "every": "month", "start": "2025-11"},
        _TABLE,
    ),
    Sample(pg.Index, {"name": "i", "table": "t", "columns": ["a"]}, "IndexStmt CommentStmt"),
    Sample(
        pg.Statistics,
        {"name": "s", "table": "t", "on": ["a", "b"]},
        "CreateStatsStmt AlterStatsStmt AlterOwnerStmt CommentStmt",
    ),
    Sample(
        pg.View,
        {"name": "v", "query": "SELECT 1 AS one"},
        "ViewStmt AlterTableStmt CommentStmt",
    ),
    Sample(
        pg.MaterializedView,
        {"name": "v", "query": "SELECT 1 AS one"},
        "CreateTableAsStmt VariableSetStmt RefreshMatViewStmt AlterTableStmt CommentStmt",
    ),
    Sample(
        pg.Function,
        {"name": "f", "returns": "integer", "body": "SELECT 1"},
        "CreateFunctionStmt AlterOwnerStmt CommentStmt",
    ),
    Sample(
        pg.Procedure,
        {"name": "f", "body": "SELECT 1"},
        "CreateFunctionStmt AlterOwnerStmt CommentStmt",
    ),
    Sample(
        pg.Trigger,
        {"name": "g", "table": "t", "when": "AFTER INSERT", "function": "f()"},
        "CreateTrigStmt AlterTableStmt CommentStmt",
    ),
    Sample(
        pg.Policy,
        {"name": "p", "table": "t", "using": "a > 0"},
        "CreatePolicyStmt CommentStmt",
    ),
    Sample(pg.Grant, {"privileges": "SELECT", "on": "TABLE t", "to": "r"}, "GrantStmt"),
    Sample(
        pg.DefaultPrivileges,
        {"privileges": "SELECT", "on": "TABLES", "to": "r"},
        "AlterDefaultPrivilegesStmt",
    ),
    Sample(pg.Rows, {"table": "t", "rows": [{"a": 1}], "key": "a"}, "InsertStmt DeleteStmt"),
    Sample(pg.Backfill, {"table": "t", "set": {"a": "b + 1"}, "where": "a IS NULL"}, "DoStmt"),
    Sample(pg.Script, {"statements": "ANALYZE t"}, "VacuumStmt"),
)
"""A declaration of each kind."""
PARTS = (
    *_beside_tests("PART"),
    Sample(pg.Column, {"name": "a", "type": "text"}),
    Sample(pg.Check, {"expression": "a > 0"}),
    Sample(pg.Unique, {"columns": "a"}),
    Sample(pg.PrimaryKey, {"columns": "a"}),
    Sample(pg.ForeignKey, {"columns": "a", "references": "p(id)"}),
    Sample(pg.Exclude, {"elements": ("a", "=")}),
    Sample(pg.NotNull, {"column": "a"}),
    Sample(Membership, {"role": "r"}, "CreateRoleStmt GrantRoleStmt"),
)
"""What declarations are made of."""
