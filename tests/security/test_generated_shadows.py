"""A law: no SQL of the collection's own calls what is not PostgreSQL's.

Every function and operator whose name the collection sends is hidden, in a schema that is searched
first and, by overloads that fit better, in `public`. Then a run of all kinds is repeated.
"""

from __future__ import annotations

import re
import secrets
from functools import partial

import pyinfra_postgres as pg
from harness import Database, Databases
from harness.process import run

from .conftest import Trap
from .search_paths import Replay, names_in
from .shadows import shadow

# Whatever a user wrote below that names a function or an operator; its function is not hidden.
_FRAGMENTS = "SELECT a > 0, length(b), length(b) > 0, 1 + a, n + 1, k = k"
"""What the deploys below have written themselves; the last is the operator of an exclusion."""
_OPERATORS = {"=", "<>", "||", "~", "!~", "@>", "<", ">=", "->", "->>", "<="}


def _first(role: str) -> None:
    """Something of every kind."""
    with pg.transaction():
        pg.role(role)
        pg.schema("s")
        pg.enum("s.e", ["x", "y", "z"])
        pg.domain("s.d", "integer", checks=[pg.Check("VALUE > 0", name="positive")])
        pg.sequence("s.q", start=5)
        pg.table(
            "s.t",
            [
                pg.Column("a", "int", primary_key=True, default="length('x')"),
                pg.Column("b", "varchar(9)"),
                pg.Column("w", "text"),
                pg.Column("e", "s.e", default="'x'"),
                pg.Column("d", "s.d"),
                pg.Column("j", "json"),
            ],
            constraints=[pg.Check("a > 0", name="c")],
        )
        pg.table("s.u", [pg.Column("a", "int", references="s.t(a)"), pg.Column("k", "text")])
        pg.table("s.p", [pg.Column("at", "timestamptz")], partition_by="RANGE (at)")
        pg.partitions("s.p", every="month", start="2025-11", default=True)
        pg.table("s.l", [pg.Column("k", "text")], partition_by="LIST (k)")
        pg.table("s.l_a", [pg.Column("k", "text")])
        pg.index("i", "s.t", ["length(b)"], where="a > 0")
        pg.statistics("s.st", "s.t", ["a", "(length(b))"])
        pg.function("s.f", arguments="n int DEFAULT length('x')", returns="int", body="SELECT n")
        pg.function("s.g", returns="trigger", language="plpgsql", body="BEGIN RETURN NEW; END")
        pg.trigger("tr", "s.t", when="BEFORE UPDATE", function="s.g()", condition="new.a > 0")
        pg.policy("po", "s.t", roles="PUBLIC", using="a > 0")
        pg.view("s.v", "SELECT a, length(b) AS n FROM s.t")
        pg.materialized_view("s.m", "SELECT a FROM s.t WHERE length(b) > 0")
        pg.grant("SELECT", on="TABLE s.t", to=role)
        pg.default_privileges("SELECT", on="TABLES", to=role, in_schema="s")
        rows = [
            {"a": 1, "b": "1", "w": "w", "e": "x", "d": 1, "j": {}},
            {"a": 2, "b": "2", "w": None, "e": "y", "d": 2},
        ]
        pg.rows("s.t", rows, key="a", update=True)
        pg.rows(
            "s.u", [{"a": 1, "k": "k"}, {"a": pg.SQL("length('xx')"), "k": "l"}], key=["k", "a"]
        )
        pg.rows("s.l_a", [{"k": "a"}], key="k")
        pg.sql("SELECT length('x')", unless="SELECT length('x') > 1")
    pg.check("There are two", "SELECT a, length(b) FROM s.t ORDER BY a", [(1, 1), (2, 1)])


def _second() -> None:
    """The same, changed where there are rows."""
    with pg.transaction():
        pg.enum("s.e", ["y", "x"])
        pg.domain("s.d", "integer", checks=[pg.Check("VALUE > 0 AND VALUE > -1", name="positive")])
        pg.sequence("s.q", start=5, increment=2)
        pg.table(
            "s.t",
            [
                pg.Column("a", "bigint", identity="ALWAYS", primary_key=True),
                pg.Column("b", "varchar(9)", nullable=False),
                pg.Column("w", "int", using="length(w)"),
                pg.Column("e", "s.e", default="'y'"),
                pg.Column("d", "s.d"),
                pg.Column("n", "int", default="length('x')", nullable=False),
            ],
            constraints=[
                pg.Check("a > 0 AND length(b) > 0", name="c"),
                pg.Unique("d", name="once"),
            ],
            exact=["columns"],
        )
        pg.table(
            "s.u",
            [pg.Column("a", "int"), pg.Column("k", "text", nullable=False)],
            constraints=[
                pg.ForeignKey("a", references="s.t(a)", name="fk"),
                pg.Exclude(("k", "="), using="btree"),
            ],
        )
        pg.partition("s.l_a", of="s.l", values="FOR VALUES IN ('a')")
        pg.index("i", "s.t", ["a", "e"], unique=True, where="a > -1")
        pg.statistics("s.st", "s.t", ["a", "e"])
        pg.function(
            "s.f", arguments="n int DEFAULT length('y')", returns="int", body="SELECT n + 1"
        )
        pg.trigger("tr", "s.t", when="BEFORE INSERT", function="s.g()", condition="new.a > 1")
        pg.policy("po", "s.t", roles="PUBLIC", using="a > 1")
        pg.view("s.v", "SELECT a, 1 + length(b) AS n FROM s.t")
        pg.materialized_view("s.m", "SELECT a FROM s.t WHERE a > 0")
        pg.rows("s.u", [{"a": 1, "k": "k"}], key=["k", "a"], exact=True)


def _scenario(database: Database, role: str, stranger: str) -> None:
    # Trusted, so that the run is not refused because of it: nobody calls it all the same.
    allow = "s.t,s.u,s.e,s.m,s.d,s.t.j,s.t.w"
    for deploy in (partial(_first, role), _second):
        for dry in (True, False, False):
            outcome = run(
                *(database, deploy),
                dry=dry,
                postgres_allow=allow,
                postgres_today="2025-12-01",
                postgres_trust=stranger,
            )
            outcome.succeeded()


def _calls(database: Database, role: str, stranger: str) -> set[str]:
    """The names of PostgreSQL's functions that a run sends, in whatever position."""
    with database.watch() as seen:
        _scenario(database, role, stranger)
    words = set(re.findall(r"[a-z_][a-z0-9_]*", " ".join(seen.statements)))
    Replay(seen.entries).check(names_in(_FRAGMENTS))
    known = database.psql("SELECT DISTINCT proname FROM pg_proc WHERE proname ~ '^[a-z]'")
    return words & set(known.splitlines()) - {"length", "text", "name"}


def test_no_statement_calls_what_is_not_postgresqls(
    new_database: Databases, stranger: str, database: Database
) -> None:
    role = f"reader_{secrets.token_hex(3)}"
    calm = new_database()
    functions = _calls(calm, role, stranger)
    trap = Trap(database)
    database.psql(
        f"CREATE SCHEMA evil AUTHORIZATION {stranger}; GRANT CREATE ON SCHEMA public TO {stranger}"
    )
    made = [shadow(trap, one, stranger, functions, _OPERATORS) for one in ("evil", "public")]
    assert min(made) > 200, made
    database.psql(f"ALTER DATABASE {database.name} SET search_path = evil, pg_catalog")
    with database.watch() as seen:
        _scenario(database, role, stranger)
    assert trap.sprung() == []
    Replay(seen.entries).check(names_in(_FRAGMENTS))
