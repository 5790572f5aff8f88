"""Arguments that mean more than they say: nothing of them is executed, and nobody is let in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version, process
from laws.zoo import SAMPLES
from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.operations.declarations import OPERATIONS

Declared = Callable[[], object]


def table(*constraints: pg.Constraint) -> pg.Table:
    columns = [pg.Column("a", "int"), pg.Column("b", "int")]
    return pg.Table("t", columns, constraints=constraints)


def function(**arguments: Any) -> pg.Function:
    one = pg.Function("f", **({"returns": "int", "body": "SELECT 1"} | arguments))
    one.validate(True)
    return one


def trigger(**arguments: Any) -> pg.Trigger:
    return pg.Trigger("g", "t", **({"when": "AFTER INSERT", "function": "f()"} | arguments))


# What would be cut off, or executed beside what is meant, in the place of each fragment.
SMUGGLED: dict[str, Declared] = {
    "an action": lambda: pg.Column("a", "int", references="p(id) ON DELETE CASCADE"),
    "a matching": lambda: table(pg.ForeignKey("a", references="p(id) MATCH FULL")),
    "a timing": lambda: table(pg.ForeignKey("a", references="p(id) DEFERRABLE")),
    "another constraint": lambda: table(pg.ForeignKey("a", references="p(id) NOT NULL")),
    "another database": lambda: table(pg.ForeignKey("a", references="d.s.p(id)")),
    "columns of no action": lambda: table(
        pg.ForeignKey("a", references="p", on_delete="CASCADE (a)")
    ),
    "no columns": lambda: table(pg.ForeignKey("a", references="p", on_delete="SET NULL ()")),
    "another action": lambda: table(
        pg.ForeignKey("a", references="p", on_delete="CASCADE ON UPDATE CASCADE")
    ),
    "an update's columns": lambda: table(
        pg.ForeignKey("a", references="p", on_update="SET NULL (a)")
    ),
    "attributes": lambda: function(returns="int STABLE SECURITY DEFINER"),
    "a language": lambda: function(returns="int LANGUAGE c"),
    "a column more": lambda: function(returns="int, b int"),
    "an end of arguments": lambda: function(arguments="a int) RETURNS int LANGUAGE c --"),
    "a statement after a body": lambda: function(body="RETURN 1; DROP TABLE victim"),
    "one under a path": lambda: function(
        body="RETURN 1; DROP TABLE victim", settings={"search_path": "public"}
    ),
    "an option of a language": lambda: function(language="sql SECURITY DEFINER"),
    "a method": lambda: pg.Index("i", "t", "a", method="btree (a); drop table victim; --"),
    "a column of an index": lambda: pg.Index("i", "t", "a, b"),
    "included columns": lambda: pg.Index("i", "t", "a) INCLUDE (b"),
    "a predicate": lambda: pg.Index("i", "t", "a) WHERE (b > 0"),
    "a parameter": lambda: pg.Index("i", "t", "a", parameters={"fillfactor) --": 5}),
    "a method of an exclusion": lambda: table(
        pg.Exclude(("a", "="), using="gist (a WITH =); drop table victim; --")
    ),
    "another element": lambda: table(pg.Exclude(("a", "=, b WITH ="))),
    "a predicate of an exclusion": lambda: table(pg.Exclude(("a", "=) WHERE (b > 0"))),
    "a trigger's table": lambda: trigger(when="AFTER INSERT ON victim --"),
    "a trigger's condition": lambda: trigger(when="AFTER INSERT ON t WHEN (true) --"),
    "a trigger's level": lambda: trigger(referencing="NEW TABLE AS n FOR EACH ROW"),
    "a statement after a trigger": lambda: trigger(function="f(); DROP TABLE victim"),
    "a partition's key": lambda: pg.Partition("p", "t", "DEFAULT PARTITION BY LIST (a)"),
    "a partition's place": lambda: pg.Partition("p", "t", "DEFAULT TABLESPACE slow"),
    "a table's place": lambda: pg.Table("t", partition_by="LIST (a) TABLESPACE slow"),
    "a partition's parameters": lambda: pg.Partition(
        "p", "t", "DEFAULT", partition_by="LIST (a) WITH (fillfactor = 10)"
    ),
    "a grant's target": lambda: pg.Grant("SELECT ON TABLE victim TO PUBLIC --", "TABLE t", "r"),
    "a grantee": lambda: pg.Grant("SELECT", "TABLE t TO PUBLIC --", "r"),
    "a grant option": lambda: pg.Grant("SELECT", "TABLE t TO r WITH GRANT OPTION; --", "r"),
    "a default's target": lambda: pg.DefaultPrivileges("SELECT ON TABLES TO x --", "TABLES", "r"),
    "a policy's role": lambda: pg.Policy("p", "t", roles="r USING (true)"),
    "a view's option": lambda: pg.View("v", "SELECT 1 AS a WITH CHECK OPTION"),
    "a type's constraint": lambda: pg.Column("a", "int NOT NULL"),
    "a type's end": lambda: pg.Column("a", "int), b int DEFAULT (1"),
    "a collation's schema": lambda: pg.Column("a", "text", collation='a.b."C"'),
    "a sequence's option": lambda: pg.Sequence("s", owned_by="t.a; DROP TABLE victim"),
}


@pytest.mark.parametrize("case", SMUGGLED)
def test_a_fragment_says_one_thing(case: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        SMUGGLED[case]()
    assert "\n" not in str(caught.value.args[0])


# What would mean everybody, or everything.
EMPTY: dict[str, Declared] = {
    "a policy for nobody": lambda: pg.Policy("p", "t", roles=[], using="true"),
    "a grant to nobody": lambda: pg.Grant("SELECT", "TABLE t", []),
    "a grant of nothing": lambda: pg.Grant([], "TABLE t", "r"),
    "a grant on nothing": lambda: pg.Grant("SELECT", "", "r"),
    "a grant on a list": lambda: pg.Grant("SELECT", [], "r"),  # type: ignore[arg-type]
    "default privileges to nobody": lambda: pg.DefaultPrivileges("SELECT", "TABLES", ()),
    "default privileges of nothing": lambda: pg.DefaultPrivileges((), "TABLES", "r"),
    "default privileges nowhere": lambda: pg.DefaultPrivileges(
        "SELECT", "TABLES", "r", in_schema=[]
    ),
    "statistics of no kind": lambda: pg.Statistics("s", "t", ["a", "b"], kinds=[]),
    "no labels at all": lambda: pg.Enum("e", [], exact=True).validate(True),
    "rows without a key": lambda: pg.Rows("t", [{"a": 1}], key=[]),
    "a key over nothing": lambda: pg.Unique(),
    "an exclusion of nothing": lambda: pg.Exclude(),
    "no declarations": lambda: pg.objects([]),
    "a comment as SQL": lambda: pg.Script("-- nothing"),
    "an empty name": lambda: pg.Schema(""),
    "a quoted empty name": lambda: pg.Role('""'),
    "an empty version": lambda: pg.Extension("hstore", version=""),
    "an empty reference": lambda: pg.Table("t", [pg.Column("a", "int", references="")]),
}


@pytest.mark.parametrize("case", EMPTY)
def test_nobody_and_nothing_do_not_mean_everybody_and_everything(case: str) -> None:
    with pytest.raises(DeclarationError):
        EMPTY[case]()


@one_version
def test_no_operation_takes_what_is_no_argument(database: Database) -> None:
    """Each argument of each operation, through pyinfra."""
    accepted = []

    def deploy() -> None:
        for operation in dict.fromkeys(OPERATIONS.values()):
            for argument, value in wrong_arguments(operation):
                with suppress(DeclarationError):
                    with_argument(operation, argument, value)
                    accepted.append(f"{operation.__name__}({argument}={value!r})")

    process.run(database, deploy, dry=True).succeeded()
    assert accepted == []


@one_version
def test_names_in_place_of_sql_are_not_executed(database: Database) -> None:
    database.psql("CREATE TABLE victim (); CREATE TABLE t (a int, b int)")
    for attack in (
        lambda: pg.index("i", "t", "a", method="btree (a); drop table victim; --"),
        lambda: pg.table(
            "t",
            constraints=[pg.Exclude(("a", "="), using="gist (a WITH =); drop table victim; --")],
        ),
        lambda: pg.policy("p", "t", roles=[], using="true"),
    ):
        process.run(database, attack).refused()
    assert database.psql("SELECT to_regclass('victim')") == "victim"
    assert database.psql("SELECT count(*) FROM pg_policy") == "0"


@one_version
def test_an_action_that_is_there_is_not_taken_away(database: Database) -> None:
    database.psql(
        "CREATE TABLE p (id int PRIMARY KEY);"
        "CREATE TABLE c (p int CONSTRAINT k REFERENCES p ON DELETE CASCADE)"
    )

    def deploy() -> None:
        pg.table("c", [pg.Column("p", "int", references="p(id) ON DELETE CASCADE")])

    messages = process.run(database, deploy).refused().messages
    assert "pg.ForeignKey(..., on_delete=" in messages
    assert database.psql("SELECT confdeltype FROM pg_constraint WHERE conname = 'k'") == "c"


def wrong_arguments(operation: Callable[..., object]) -> list[tuple[str, Any]]:
    """Each argument of an operation, with what none of them may be."""
    names = [name for name in operation.__annotations__ if name not in {"arguments", "return"}]
    return [(name, value) for name in names for value in (object(), b"x", [[["x"]]], 1 + 2j)]


def with_argument(operation: Callable[..., object], argument: str, value: Any) -> None:
    declared = [one for one, other in OPERATIONS.items() if other is operation]
    sample = next(one for one in SAMPLES if one.declaration in declared)
    # The first argument of an operation may have its name.
    names = [next(iter(operation.__annotations__)), *list(sample.arguments)[1:]]
    usual = dict(zip(names, sample.arguments.values(), strict=True))
    operation(**usual | {argument: value})
