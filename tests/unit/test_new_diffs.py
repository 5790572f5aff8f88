"""The pure diffs of views, domains, sequences, statistics, exclusions and procedures."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from pyinfra_postgres.catalog.catalog import Forecast
from pyinfra_postgres.comparison.compare import Comparison
from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.objects.code.dependents import DependentView
from pyinfra_postgres.objects.code.functions import Procedure
from pyinfra_postgres.objects.code.triggers import Trigger
from pyinfra_postgres.objects.code.views import MaterializedView, View
from pyinfra_postgres.objects.constraints.constraints import Check, Exclude
from pyinfra_postgres.objects.dependents import Dependents, Remade
from pyinfra_postgres.objects.indexes.elements import key_elements
from pyinfra_postgres.objects.indexes.indexes import StoredIndex
from pyinfra_postgres.objects.kind import Object
from pyinfra_postgres.objects.tables.columns import Column, TableColumn
from pyinfra_postgres.objects.tables.sequences import Sequence
from pyinfra_postgres.objects.tables.statistics import Statistics
from pyinfra_postgres.objects.types.domains import Domain
from pyinfra_postgres.plan.plan import Statement
from pyinfra_postgres.syntax.names import Exact
from pyinfra_postgres.syntax.parse import type_name
from pyinfra_postgres.transport.answer import Answer

VIEW = View("v", "SELECT 1 AS a", security_barrier=True, check_option="none", owner="o")
MATERIALIZED = MaterializedView("m", "SELECT 1 AS a", owner="o", comment="x")
DOMAIN = Domain("d", "text", checks=Check("VALUE <> ''", name="k"), default="'a'")
SEQUENCE = Sequence("s", type="bigint", increment=1, minimum=1, cycle=False, owned_by="none")
STATISTICS = Statistics("s", "t", ["a", "b"], kinds=["mcv"], owner="o")
PROCEDURE = Procedure("p", "a integer", body="SELECT 1", language="sql")
INDEX = StoredIndex("i", "t", ["a"], parameters={"fillfactor": 70, "deduplicate_items": True})
TRIGGER = Trigger("g", "t", when="AFTER INSERT", function="f()", constraint=True)

REMADE = Remade(
    (
        Statement("CREATE MATERIALIZED VIEW public.m WITH (fillfactor='70') AS\nx\nWITH NO DATA"),
        Statement("GRANT SELECT ON m TO r"),
    ),
    Dependents(
        (
            DependentView("1/2/0", "view uses", frozenset(), None,
                          (Statement("DROP VIEW uses"),), (Statement("CREATE VIEW uses"),)),
        )
    ),
)  # fmt: skip

CASES: dict[str, tuple[Object | None, Object | None, list[str]]] = {
    "a view stays": (VIEW, VIEW, []),
    "a view is dropped": (VIEW, None, ["DROP VIEW public.v"]),
    "a view is created with its options": (None, VIEW, [
        "CREATE OR REPLACE VIEW public.v WITH (security_barrier=true) AS\nSELECT 1 AS a",
        "ALTER VIEW public.v OWNER TO o"]),
    "a query is replaced in place": (VIEW, evolve(VIEW, query="SELECT 2 AS a"), [
        "CREATE OR REPLACE VIEW public.v WITH (security_barrier=true) AS\nSELECT 2 AS a"]),
    "options come and go": (VIEW, evolve(VIEW, security_barrier=False, check_option="local"), [
        "ALTER VIEW public.v RESET (security_barrier)",
        "ALTER VIEW public.v SET (check_option=local)"]),
    "a materialized view stays": (MATERIALIZED, MATERIALIZED, []),
    "a domain stays": (DOMAIN, DOMAIN, []),
    "a domain is created": (None, DOMAIN, [
        "CREATE DOMAIN public.d AS text DEFAULT ('a') CONSTRAINT k CHECK (VALUE <> '')"]),
    "a domain is altered": (DOMAIN, evolve(DOMAIN, default=None, nullable=False), [
        "ALTER DOMAIN public.d DROP DEFAULT", "ALTER DOMAIN public.d SET NOT NULL"]),
    "a check of a domain is replaced": (
        DOMAIN, evolve(DOMAIN, checks=Check("VALUE <> 'b'", name="k")), [
            "ALTER DOMAIN public.d DROP CONSTRAINT k",
            "ALTER DOMAIN public.d ADD CONSTRAINT k CHECK (VALUE <> 'b')"]),
    "a check of a domain is validated": (
        evolve(DOMAIN, checks=[DOMAIN.checks[0].evolved(validated=False)]), DOMAIN, [
            "ALTER DOMAIN public.d VALIDATE CONSTRAINT k"]),
    "a sequence stays": (SEQUENCE, SEQUENCE, []),
    "a sequence is altered": (
        SEQUENCE, evolve(SEQUENCE, increment=5, cycle=True, owned_by="t.id"), [
            "ALTER SEQUENCE public.s INCREMENT 5 CYCLE",
            "ALTER SEQUENCE public.s OWNED BY public.t.id"]),
    "a sequence is dropped": (SEQUENCE, None, ["DROP SEQUENCE public.s"]),
    "statistics stay": (STATISTICS, STATISTICS, []),
    "statistics are made anew": (STATISTICS, evolve(STATISTICS, on=["a", "c"]), [
        "DROP STATISTICS public.s", "CREATE STATISTICS public.s (mcv) ON a, c FROM public.t",
        "ALTER STATISTICS public.s OWNER TO o"]),
    "a procedure stays": (PROCEDURE, PROCEDURE, []),
    "a procedure has no result": (None, PROCEDURE, [
        "CREATE OR REPLACE PROCEDURE public.p(a integer)\nLANGUAGE sql\n"
        "AS $function$SELECT 1$function$"]),
    "a procedure is dropped": (PROCEDURE, None, ["DROP PROCEDURE public.p(integer)"]),
    "storage parameters stay": (INDEX, INDEX, []),
    "storage parameters are altered in place": (
        INDEX, evolve(INDEX, parameters={"fillfactor": "80"}), [
            "ALTER INDEX public.i RESET (deduplicate_items)",
            "ALTER INDEX public.i SET (fillfactor = '80')"]),
    "an index is made anew with its parameters": (INDEX, evolve(INDEX, columns=["b"]), [
        "DROP INDEX public.i",
        "CREATE INDEX i ON public.t USING btree (b) "
        "WITH (deduplicate_items = 'true', fillfactor = '70')"]),
    "a constraint trigger stays": (TRIGGER, TRIGGER, []),
    "a constraint trigger is made anew": (TRIGGER, evolve(TRIGGER, initially_deferred=True), [
        "DROP TRIGGER g ON public.t",
        "CREATE CONSTRAINT TRIGGER g AFTER INSERT ON public.t DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION f()"]),
}  # fmt: skip


def test_a_materialized_view_is_made_anew_with_what_uses_it() -> None:
    declared = evolve(MATERIALIZED, query="SELECT 2", comment="y")
    assert [one.sql for one in MaterializedView.diff(MATERIALIZED, declared, REMADE)] == [
        "DROP VIEW uses", "DROP MATERIALIZED VIEW public.m",
        "CREATE MATERIALIZED VIEW public.m WITH (fillfactor='70') AS\nSELECT 2\nWITH NO DATA",
        "GRANT SELECT ON m TO r", "CREATE VIEW uses", "COMMENT ON MATERIALIZED VIEW public.m "
        "IS 'y'",
    ]  # fmt: skip


def test_a_view_of_other_columns_is_made_anew_with_what_uses_it() -> None:
    assert [one.sql for one in View.diff(VIEW, evolve(VIEW, query="SELECT 2 AS b"), REMADE)] == [
        "DROP VIEW uses", "DROP VIEW public.v",
        "CREATE OR REPLACE VIEW public.v WITH (security_barrier=true) AS\nSELECT 2 AS b",
        "GRANT SELECT ON m TO r", "CREATE VIEW uses",
    ]  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_diff(name: str) -> None:
    current, declared, expected = CASES[name]
    kind: Any = type(current or declared)
    assert [one.sql for one in kind.diff(current, declared)] == expected


def test_a_trigger_that_is_no_constraint_can_not_be_deferred() -> None:
    with pytest.raises(DeclarationError, match="only a constraint trigger"):
        Trigger("g", "t", when="AFTER INSERT", function="f()", deferrable=True)


def test_an_exclusion_as_sql() -> None:
    one = Exclude(("a", "="), ("lower(b) DESC", "public.&&"), using="GIST", where="c -- why")
    assert one.definition() == (
        "EXCLUDE USING gist (a WITH =, (lower(b)) DESC WITH &&) WHERE (c -- why\n)"
    )


def test_a_virtual_column_as_sql() -> None:
    one = TableColumn("a", "integer", generated="b + 1", virtual=True)
    assert one.definition() == "a integer GENERATED ALWAYS AS (b + 1) VIRTUAL"
    with pytest.raises(DeclarationError, match="virtual is for a generated one"):
        Column("a", "integer", virtual=True)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("geometry(Point, 4326)", "public.geometry(point,4326)"),
        ("geometry('PointZ',4326)[]", "public.geometry('PointZ',4326)[]"),
        ("lab.vec(3)", "lab.vec(3)"),
        ("varchar(3)", "character varying(3)"),
    ],
)
def test_the_modifiers_of_a_type_of_ones_own(text: str, written: str) -> None:
    assert type_name(text) == written


def test_a_modifier_of_a_built_in_type_is_an_integer() -> None:
    with pytest.raises(DeclarationError, match="must be an integer"):
        type_name("numeric(a)")


def test_a_partition_key_in_parts() -> None:
    strategy, elements = key_elements('RANGE (lower(a, b), (c || d), "E" /* , */ text_ops)')
    assert strategy == "range"
    assert [str(one) for one in elements] == ["(lower(a, b))", "(c || d)", '"E" text_ops']


def test_a_standby_says_unknown_and_never_differs() -> None:
    def send(_: object) -> Answer:
        pytest.fail("a standby is not asked")

    same = Comparison(Forecast(standby=True), send)
    template = "SELECT 1 WHERE ({})"
    assert same(template, "a in (1, 2)", Exact("(a = ANY (ARRAY[1, 2]))"))
    assert same(template, "b=1", Exact("(b = 1)"))
    assert not same(template, None, Exact("(b = 1)"))
    assert same.unknown == {"a in (1, 2)"}
    assert not same.pending
