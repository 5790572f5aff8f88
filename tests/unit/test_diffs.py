"""The pure diff of every kind: what turns one definition into another."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from attrs import evolve

from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.objects.access.object_privileges import Privilege, Privileges, Target
from pyinfra_postgres.objects.access.policies import Policy
from pyinfra_postgres.objects.access.roles import Role
from pyinfra_postgres.objects.code.functions import Function, FunctionFacts
from pyinfra_postgres.objects.code.triggers import Trigger
from pyinfra_postgres.objects.constraints.constraints import Check, ForeignKey, PrimaryKey, Unique
from pyinfra_postgres.objects.dependents import Remade
from pyinfra_postgres.objects.indexes.index_state import IndexBuild, IndexFacts
from pyinfra_postgres.objects.indexes.indexes import StoredIndex
from pyinfra_postgres.objects.kind import Object
from pyinfra_postgres.objects.partitions.partition_definition import floor, following, suffix
from pyinfra_postgres.objects.partitions.partitions import Partition
from pyinfra_postgres.objects.server.extensions import Extension
from pyinfra_postgres.objects.server.schemas import Schema
from pyinfra_postgres.objects.tables.columns import Column, TableColumn
from pyinfra_postgres.objects.tables.facts import TableFacts
from pyinfra_postgres.objects.tables.retyping import Retype, Retypes
from pyinfra_postgres.objects.tables.tables import Table
from pyinfra_postgres.objects.types.enums import Enum
from pyinfra_postgres.plan.plan import Hazard, Loss, Stage, Statement
from pyinfra_postgres.syntax.names import Exact, Name

T = Name("public", "t")


def statements(current: Object | None, declared: Object | None, *facts: object) -> list[str]:
    kind: Any = type(current or declared)
    return [statement.sql for statement in kind.diff(current, declared, *facts)]


def changed(one: Any, **changes: Any) -> Any:
    """A copy with other values."""
    return evolve(one, **changes)


def case(id_: str, current: Object | None, declared: Object | None, *sql: str) -> Any:
    return pytest.param(current, declared, list(sql), id=id_)


ROLE = Role(
    "r", login=False, superuser=False, createdb=False, createrole=False, inherit=True,
    replication=False, bypassrls=False, connection_limit=-1,
)  # fmt: skip
ROLES = [
    case("a role is created", None, Role("r"), "CREATE ROLE r"),
    case(
        "a role is created with attributes",
        None,
        Role("r", login=True, inherit=False, connection_limit=3, member_of=["a", "B"], comment="x"),
        "CREATE ROLE r LOGIN NOINHERIT CONNECTION LIMIT 3",
        "GRANT a TO r",
        "GRANT b TO r",
        "COMMENT ON ROLE r IS 'x'",
    ),
    case("a role is dropped", ROLE, None, "DROP ROLE r"),
    case("a role stays", ROLE, ROLE),
    *[
        case(f"{name} goes {'on' if on else 'off'}", changed(ROLE, **{name: not on}),
             changed(ROLE, **{name: on}), f"ALTER ROLE r {'' if on else 'NO'}{name.upper()}")
        for name in ("login", "superuser", "createdb", "createrole", "inherit", "replication",
                     "bypassrls")
        for on in (True, False)
    ],
    case("a limit changes", ROLE, evolve(ROLE, connection_limit=0),
         "ALTER ROLE r CONNECTION LIMIT 0"),
    case("a membership is added", evolve(ROLE, member_of=["a"]), evolve(ROLE, member_of=["a", "c"]),
         "GRANT c TO r"),
    case("a comment goes", evolve(ROLE, comment="x"), evolve(ROLE, comment=""),
         "COMMENT ON ROLE r IS NULL"),
]  # fmt: skip

SCHEMA = Schema("s", owner="a", comment="x")
SCHEMAS = [
    case("a schema is created", None, SCHEMA,
         "CREATE SCHEMA s", "ALTER SCHEMA s OWNER TO a", "COMMENT ON SCHEMA s IS 'x'"),
    case("no comment is no comment", None, Schema("s", comment=""), "CREATE SCHEMA s"),
    case("no comment stays none", Schema("s"), Schema("s", comment="")),
    case("a schema is dropped", SCHEMA, None, "DROP SCHEMA s"),
    case("a schema stays", SCHEMA, SCHEMA),
    case("what is not declared stays", SCHEMA, Schema("s")),
    case("a schema's owner changes", SCHEMA, evolve(SCHEMA, owner='"B"'),
         'ALTER SCHEMA s OWNER TO "B"'),
    case("a schema's comment goes", SCHEMA, evolve(SCHEMA, comment=""),
         "COMMENT ON SCHEMA s IS NULL"),
]  # fmt: skip

EXTENSION = Extension("uuid-ossp", schema="public", version="1.1")
EXTENSIONS = [
    case("an extension is created", None, Extension("uuid-ossp"),
         'CREATE EXTENSION "uuid-ossp" CASCADE'),
    case("an extension is created somewhere", None, EXTENSION,
         "CREATE EXTENSION \"uuid-ossp\" SCHEMA public VERSION '1.1' CASCADE"),
    case("an extension is dropped", EXTENSION, None, 'DROP EXTENSION "uuid-ossp"'),
    case("an extension stays", EXTENSION, EXTENSION),
    case("an extension moves and is updated", EXTENSION,
         evolve(EXTENSION, schema="ext", version="1.2"),
         "ALTER EXTENSION \"uuid-ossp\" UPDATE TO '1.2'",
         'ALTER EXTENSION "uuid-ossp" SET SCHEMA ext'),
]  # fmt: skip

ENUM = Enum("mood", ["sad", "ok"], owner="a")
ENUMS = [
    case("an enum is created", None, Enum("mood", ["sad", "it's"], owner="a", comment="x"),
         "CREATE TYPE public.mood AS ENUM ('sad', 'it''s')", "ALTER TYPE public.mood OWNER TO a",
         "COMMENT ON TYPE public.mood IS 'x'"),
    case("an enum is dropped", ENUM, None, "DROP TYPE public.mood"),
    case("an enum stays", ENUM, ENUM),
    case("a label is added at the end", ENUM, Enum("mood", ["sad", "ok", "glad"]),
         "ALTER TYPE public.mood ADD VALUE IF NOT EXISTS 'glad' AFTER 'ok'"),
    case("a label is added at the start", ENUM, Enum("mood", ["bad", "sad", "ok"]),
         "ALTER TYPE public.mood ADD VALUE IF NOT EXISTS 'bad' BEFORE 'sad'"),
    case("labels change places", ENUM, Enum("mood", ["ok", "sad"], owner="a"),
         "ALTER TYPE public.mood RENAME TO mood_old",
         "CREATE TYPE public.mood AS ENUM ('ok', 'sad')", "ALTER TYPE public.mood OWNER TO a",
         "DROP TYPE public.mood_old"),
    case("labels are added in a row", ENUM, Enum("mood", ["a", "b", "sad", "c", "ok"]),
         "ALTER TYPE public.mood ADD VALUE IF NOT EXISTS 'a' BEFORE 'sad'",
         "ALTER TYPE public.mood ADD VALUE IF NOT EXISTS 'b' AFTER 'a'",
         "ALTER TYPE public.mood ADD VALUE IF NOT EXISTS 'c' AFTER 'sad'"),
]  # fmt: skip

A = Column("a", "integer")
TABLE = Table("t", [A, Column("b", "text")], row_security=False, force_row_security=False)


def table(*columns: Column, **changes: Any) -> Table:
    return evolve(TABLE, columns=[*columns, *(TABLE.columns or ())[len(columns) :]], **changes)


TABLES = [
    case("an empty table is created", None, Table("t", []), "CREATE TABLE public.t ()"),
    case(
        "a table is created",
        None,
        Table(
            "s.t",
            [
                Column("id", "bigint", primary_key=True, identity="ALWAYS"),
                Column("n", "serial"),
                Column("a", "varchar(5)", default="'x'", nullable=False, collation="C"),
                Column("g", "integer", generated="n + 1", comment="x"),
            ],
            constraints=[Check("n > 0"), Unique("a", name="u")],
            row_security=True,
            force_row_security=False,
            owner="o",
            comment="y",
        ),
        "CREATE TABLE s.t (\n    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,\n"
        "    n serial NOT NULL,\n"
        "    a character varying(5) COLLATE \"C\" DEFAULT 'x' NOT NULL,\n"
        "    g integer GENERATED ALWAYS AS (n + 1) STORED,\n    PRIMARY KEY (id),\n"
        "    CHECK (n > 0),\n    CONSTRAINT u UNIQUE (a)\n)",
        "COMMENT ON COLUMN s.t.g IS 'x'",
        "ALTER TABLE s.t ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE s.t OWNER TO o",
        "COMMENT ON TABLE s.t IS 'y'",
    ),
    case("a partitioned table is created", None,
         Table("t", [A], partition_by="RANGE (a)"),
         "CREATE TABLE public.t (\n    a integer\n) PARTITION BY RANGE (a)"),
    case("a table is dropped", TABLE, None, "DROP TABLE public.t"),
    case("what is computed from a column goes before it",
         evolve(TABLE, columns=[A, Column("g", "integer", generated="a + 1")]),
         evolve(TABLE, columns=[]),
         "ALTER TABLE public.t DROP COLUMN g", "ALTER TABLE public.t DROP COLUMN a"),
    case("a foreign key to the table itself goes before the key",
         evolve(TABLE, constraints=[Unique("a", name="k"),
                                    ForeignKey("a", references="t(a)", name="z")]), TABLE,
         "ALTER TABLE public.t DROP CONSTRAINT z", "ALTER TABLE public.t DROP CONSTRAINT k"),
    case("a table stays", TABLE, TABLE),
    case("an identity goes before the type changes",
         table(Column("a", "bigint", identity="ALWAYS")), table(Column("a", "text")),
         "ALTER TABLE public.t ALTER COLUMN a DROP IDENTITY",
         "ALTER TABLE public.t ALTER COLUMN a TYPE text USING a::text",
         "ALTER TABLE public.t ALTER COLUMN a DROP NOT NULL"),
    case("a column is no longer computed, and of another type",
         table(Column("a", "integer", generated="1")), table(Column("a", "text")),
         "ALTER TABLE public.t ALTER COLUMN a DROP EXPRESSION",
         "ALTER TABLE public.t ALTER COLUMN a TYPE text USING a::text"),
    case("row security goes on", TABLE, evolve(TABLE, row_security=True, force_row_security=True),
         "ALTER TABLE public.t ENABLE ROW LEVEL SECURITY",
         "ALTER TABLE public.t FORCE ROW LEVEL SECURITY"),
    case("row security goes off", evolve(TABLE, row_security=True, force_row_security=True), TABLE,
         "ALTER TABLE public.t DISABLE ROW LEVEL SECURITY",
         "ALTER TABLE public.t NO FORCE ROW LEVEL SECURITY"),
    case("a default comes", TABLE, table(Column("a", "integer", default="1 + 1")),
         "ALTER TABLE public.t ALTER COLUMN a SET DEFAULT (1 + 1)"),
    case("a default goes", table(Column("a", "integer", default="1")), TABLE,
         "ALTER TABLE public.t ALTER COLUMN a DROP DEFAULT"),
    case("null goes", TABLE, table(Column("a", "integer", nullable=False)),
         "ALTER TABLE public.t ALTER COLUMN a SET NOT NULL"),
    case("null comes back", table(Column("a", "integer", nullable=False)), TABLE,
         "ALTER TABLE public.t ALTER COLUMN a DROP NOT NULL"),
    case("a type grows", TABLE, table(Column("a", "bigint")),
         "ALTER TABLE public.t ALTER COLUMN a TYPE bigint USING a::bigint"),
    case("a type changes under a default", table(Column("a", "text", default="'1'")),
         table(Column("a", "integer", default="1")),
         "ALTER TABLE public.t ALTER COLUMN a DROP DEFAULT",
         "ALTER TABLE public.t ALTER COLUMN a TYPE integer USING a::integer",
         "ALTER TABLE public.t ALTER COLUMN a SET DEFAULT 1"),
    case("an identity goes, a default comes", table(Column("a", "integer", identity="ALWAYS")),
         table(Column("a", "integer", default="1", nullable=False)),
         "ALTER TABLE public.t ALTER COLUMN a DROP IDENTITY",
         "ALTER TABLE public.t ALTER COLUMN a SET DEFAULT 1"),
    case("an identity changes", table(Column("a", "integer", identity="ALWAYS")),
         table(Column("a", "integer", identity="BY DEFAULT")),
         "ALTER TABLE public.t ALTER COLUMN a SET GENERATED BY DEFAULT"),
    case("a column comes", TABLE, evolve(TABLE, columns=[*(TABLE.columns or ()),
         Column("C", "text", default="'x'", comment="y")]),
         "ALTER TABLE public.t ADD COLUMN c text DEFAULT 'x'",
         "COMMENT ON COLUMN public.t.c IS 'y'"),
    case("a constraint comes", TABLE, evolve(TABLE, constraints=[PrimaryKey("a")],
         columns=TABLE.columns),
         "ALTER TABLE public.t ALTER COLUMN a SET NOT NULL",
         "ALTER TABLE public.t ADD PRIMARY KEY (a)"),
    case("a constraint changes under its name",
         evolve(TABLE, constraints=[Check("a > 0", name="k")]),
         evolve(TABLE, constraints=[Check("a > 1", name="k")]),
         "ALTER TABLE public.t DROP CONSTRAINT k",
         "ALTER TABLE public.t ADD CONSTRAINT k CHECK (a > 1)"),
    case("rules for new rows alone", TABLE,
         evolve(TABLE, constraints=[Check("a > 0", validated=False),
                                    ForeignKey("a", references="o(id)", validated=False)]),
         "ALTER TABLE public.t ADD CHECK (a > 0) NOT VALID",
         "ALTER TABLE public.t ADD FOREIGN KEY (a) REFERENCES public.o (id) NOT VALID"),
    case("a comment of a column goes", table(Column("a", "integer", comment="x")),
         table(Column("a", "integer", comment="")), "COMMENT ON COLUMN public.t.a IS NULL"),
]  # fmt: skip

INDEX = StoredIndex("i", "t", ["a"])
INDEXES = [
    case("an index is created", None, StoredIndex("i", "s.t", ["a DESC", "lower(b)"], unique=True,
         include=["c"], where="a > 0", method="BTREE", nulls_not_distinct=True, comment="x"),
         "CREATE UNIQUE INDEX i ON s.t USING btree (a DESC, (lower(b))) INCLUDE (c) "
         "NULLS NOT DISTINCT WHERE (a > 0)", "COMMENT ON INDEX s.i IS 'x'"),
    case("an index is dropped", INDEX, None, "DROP INDEX public.i"),
    case("an index stays", INDEX, INDEX),
    case("an index is replaced with its comment", evolve(INDEX, comment="x"),
         evolve(INDEX, unique=True, comment="x"), "DROP INDEX public.i",
         "CREATE UNIQUE INDEX i ON public.t USING btree (a)", "COMMENT ON INDEX public.i IS 'x'"),
    case("a comment comes", INDEX, evolve(INDEX, comment="x"), "COMMENT ON INDEX public.i IS 'x'"),
]  # fmt: skip

FUNCTION = Function("f", "a integer DEFAULT 1", returns="integer", body="SELECT 1", owner="o")
_HEAD = "CREATE OR REPLACE FUNCTION public.f(a integer DEFAULT 1)\nRETURNS integer\nLANGUAGE sql "
_BODY = "\nAS $function$SELECT 1$function$"
FUNCTIONS = [
    case("a function is created", None, FUNCTION, f"{_HEAD}VOLATILE{_BODY}",
         "ALTER FUNCTION public.f(integer) OWNER TO o"),
    case("a function is dropped", FUNCTION, None, "DROP FUNCTION public.f(integer)"),
    case("a function stays", FUNCTION, FUNCTION),
    *[
        case(f"{name} goes on", FUNCTION, changed(FUNCTION, **{name: value}),
             f"{_HEAD}{sql}{_BODY}")
        for name, value, sql in [
            ("volatility", "STABLE", "STABLE"),
            ("strict", True, "VOLATILE\nSTRICT"),
            ("security_definer", True, "VOLATILE\nSECURITY DEFINER"),
            ("leakproof", True, "VOLATILE\nLEAKPROOF"),
            ("parallel", "SAFE", "VOLATILE\nPARALLEL SAFE"),
            ("settings", {"search_path": ""}, "VOLATILE\nSET search_path TO ''"),
            ("settings", {"search_path": 'a, "B c"'}, "VOLATILE\nSET search_path TO 'a', 'B c'"),
            ("settings", {"app.x": "it's"}, "VOLATILE\nSET app.x TO 'it''s'"),
        ]
    ],
    case("attributes go off", evolve(FUNCTION, strict=True, settings={"work_mem": "1MB"}), FUNCTION,
         f"{_HEAD}VOLATILE{_BODY}"),
    case("a body may hold the quotes", None, evolve(FUNCTION, body="$function$", owner=None),
         f"{_HEAD}VOLATILE\nAS $function1$$function$$function1$"),
]  # fmt: skip

TRIGGER = Trigger("x", "t", when="BEFORE INSERT", function="f()")
_TRIGGER = "CREATE OR REPLACE TRIGGER x BEFORE INSERT ON public.t FOR EACH ROW"
TRIGGERS = [
    case("a trigger is created", None, TRIGGER, f"{_TRIGGER} EXECUTE FUNCTION f()"),
    case("a trigger is created switched off", None,
         evolve(TRIGGER, condition="NEW.a > 0 -- why", enabled=False, comment="y"),
         f"{_TRIGGER} WHEN (NEW.a > 0 -- why\n) EXECUTE FUNCTION f()",
         "ALTER TABLE public.t DISABLE TRIGGER x", "COMMENT ON TRIGGER x ON public.t IS 'y'"),
    case("a trigger is dropped", TRIGGER, None, "DROP TRIGGER x ON public.t"),
    case("a trigger stays", TRIGGER, TRIGGER),
    case("a trigger is replaced and stays off", evolve(TRIGGER, enabled=False),
         evolve(TRIGGER, enabled=False, function="g()"), f"{_TRIGGER} EXECUTE FUNCTION g()",
         "ALTER TABLE public.t DISABLE TRIGGER x"),
    case("a trigger goes on", evolve(TRIGGER, enabled=False), TRIGGER,
         "ALTER TABLE public.t ENABLE TRIGGER x"),
    case("a trigger goes off", TRIGGER, evolve(TRIGGER, enabled=False),
         "ALTER TABLE public.t DISABLE TRIGGER x"),
]  # fmt: skip

POLICY = Policy("p", "t", using="a > 0")
POLICIES = [
    case("a policy is created", None, POLICY,
         "CREATE POLICY p ON public.t FOR ALL TO PUBLIC USING (a > 0)"),
    case("a restrictive policy is created", None,
         Policy("p", "t", command="update", roles=["B", '"C"'], using="a > 0", check="true",
                permissive=False, comment="x"),
         'CREATE POLICY p ON public.t AS RESTRICTIVE FOR UPDATE TO "C", b USING (a > 0) '
         "WITH CHECK (true)", "COMMENT ON POLICY p ON public.t IS 'x'"),
    case("a policy is dropped", POLICY, None, "DROP POLICY p ON public.t"),
    case("a policy stays", POLICY, POLICY),
    case("roles and a check come", POLICY, evolve(POLICY, roles=["b"], check="a > 1"),
         "ALTER POLICY p ON public.t TO b WITH CHECK (a > 1)"),
    case("a check goes", evolve(POLICY, check="a > 1", comment="x"), evolve(POLICY, comment="x"),
         "DROP POLICY p ON public.t",
         "CREATE POLICY p ON public.t FOR ALL TO PUBLIC USING (a > 0)",
         "COMMENT ON POLICY p ON public.t IS 'x'"),
    case("a command changes", POLICY, evolve(POLICY, command="SELECT"),
         "DROP POLICY p ON public.t",
         "CREATE POLICY p ON public.t FOR SELECT TO PUBLIC USING (a > 0)"),
]  # fmt: skip


def held(*privileges: str, grantable: tuple[str, ...] = ()) -> Privileges:
    def read(text: str) -> Privilege:
        name, _, column = text.partition(" ")
        return Privilege(name, column)

    return Privileges(
        Target("TABLE", T), Exact("r"), frozenset(map(read, privileges)),
        frozenset(map(read, grantable)),
    )  # fmt: skip


GRANTS = [
    case("privileges are granted", held(), held("SELECT", "INSERT", "UPDATE b", "UPDATE a"),
         "GRANT INSERT, SELECT, UPDATE (a, b) ON TABLE public.t TO r"),
    case("a table's and a column's privilege of one name", held(), held("SELECT", "SELECT a"),
         "GRANT SELECT, SELECT (a) ON TABLE public.t TO r"),
    case("privileges stay", held("SELECT", "UPDATE a"), held("SELECT", "UPDATE a")),
    case("privileges are revoked", held("SELECT", "INSERT"), held("INSERT"),
         "REVOKE SELECT ON TABLE public.t FROM r"),
    case("the option comes", held("SELECT"), held("SELECT", grantable=("SELECT",)),
         "GRANT SELECT ON TABLE public.t TO r WITH GRANT OPTION"),
    case("the option goes", held("SELECT", grantable=("SELECT",)), held("SELECT"),
         "REVOKE GRANT OPTION FOR SELECT ON TABLE public.t FROM r"),
    case("what a table's revocation takes from columns is granted again",
         held("SELECT", "SELECT a"), held("SELECT a"),
         "REVOKE SELECT ON TABLE public.t FROM r", "GRANT SELECT (a) ON TABLE public.t TO r"),
]  # fmt: skip

PARTITION = Partition(Name("public", "t_2025"), T, ("2025-01-01", "2026-01-01"))
PARTITIONS = [
    case("a partition is created", None, PARTITION,
         "CREATE TABLE public.t_2025 PARTITION OF public.t "
         "FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')"),
    case("a default partition is created", None,
         Partition(Name("public", "t_default"), T, None, row_security=True),
         "CREATE TABLE public.t_default PARTITION OF public.t DEFAULT",
         "ALTER TABLE public.t_default ENABLE ROW LEVEL SECURITY"),
    case("a partition is dropped", PARTITION, None, "DROP TABLE public.t_2025"),
    case("a partition stays", PARTITION, PARTITION),
    case("row security of a partition goes off", evolve(PARTITION, row_security=True),
         evolve(PARTITION, row_security=False),
         "ALTER TABLE public.t_2025 DISABLE ROW LEVEL SECURITY"),
    case("rows of the default partition move", None,
         evolve(PARTITION, rest=Name("public", "t_default"), key_column="at", columns=("at", "B")),
         "CREATE TABLE public.t_2025 (LIKE public.t INCLUDING ALL EXCLUDING IDENTITY "
         "EXCLUDING STATISTICS EXCLUDING COMMENTS)",
         "WITH moved AS (DELETE FROM public.t_default WHERE at >= '2025-01-01' "
         "AND at < '2026-01-01' RETURNING at, \"B\") "
         'INSERT INTO public.t_2025 (at, "B") SELECT at, "B" FROM moved',
         "ALTER TABLE public.t ATTACH PARTITION public.t_2025 "
         "FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("current", "declared", "expected"),
    [*ROLES, *SCHEMAS, *EXTENSIONS, *ENUMS, *TABLES, *INDEXES, *FUNCTIONS, *TRIGGERS, *POLICIES,
     *GRANTS, *PARTITIONS],
)  # fmt: skip
def test_diff(current: Object | None, declared: Object | None, expected: list[str]) -> None:
    assert statements(current, declared) == expected


def test_a_function_of_another_result_is_made_anew_and_keeps_who_may_call_it() -> None:
    remade = Remade((Statement("CREATE FUNCTION f"), Statement("GRANT x")))
    facts = FunctionFacts(("SUPPORT s",), remade)
    assert statements(evolve(FUNCTION, returns=Exact("text")), FUNCTION, facts) == [
        "DROP FUNCTION public.f(integer)",
        f"{_HEAD}VOLATILE\nSUPPORT s{_BODY}",
        "GRANT x",
    ]


@pytest.mark.parametrize(
    ("current", "declared", "message"),
    [
        pytest.param(TABLE, table(Column("a", "integer", generated="1")), "the next run adds it",
                     id="a generated column"),
        pytest.param(table(Column("a", "integer", generated="1", virtual=True)),
                     table(Column("a", "integer", generated="1")), "PostgreSQL can't change that",
                     id="a virtual column that is to be stored"),
        pytest.param(TABLE, evolve(TABLE, partition_by="LIST (a)"), "can't change that",
                     id="a partition key"),
        pytest.param(PARTITION, evolve(PARTITION, bounds=("2025-01-01", "2025-07-01")),
                     "detach it first", id="other bounds"),
    ],
)  # fmt: skip
def test_what_postgresql_can_not_change_is_refused(
    current: Object, declared: Object, message: str
) -> None:
    with pytest.raises(DeclarationError, match=message):
        statements(current, declared)


FILLED = TableFacts(filled=True)


def test_on_a_table_with_rows_constraints_are_validated_afterwards() -> None:
    declared = evolve(TABLE, constraints=[Check("a > 0"), Check("a > 1"), Check("a > length(b)"),
                                           ForeignKey("a", references="o(id)")])  # fmt: skip
    found = list(Table.diff(TABLE, declared, FILLED))
    assert [one.sql for one in found if one.stage is Stage.MAIN] == [
        "ALTER TABLE public.t ADD CONSTRAINT t_a_check CHECK (a > 0) NOT VALID",
        "ALTER TABLE public.t ADD CONSTRAINT t_a_check1 CHECK (a > 1) NOT VALID",
        "ALTER TABLE public.t ADD CONSTRAINT t_check CHECK (a > length(b)) NOT VALID",
        "ALTER TABLE public.t ADD CONSTRAINT t_a_fkey FOREIGN KEY (a) REFERENCES public.o (id) "
        "NOT VALID",
    ]
    after = [one for one in found if one.stage is Stage.AFTER]
    assert [one.sql.removeprefix("ALTER TABLE public.t VALIDATE CONSTRAINT ") for one in after] == [
        "t_a_check", "t_a_check1", "t_check", "t_a_fkey",
    ]  # fmt: skip
    assert all(one.hazards == (Hazard.SCANS,) for one in after)


def test_columns_get_other_types_in_one_pass_over_the_rows() -> None:
    current = table(Column("a", "integer"), Column("b", "varchar(3)"))
    declared = table(Column("a", "text"), Column("b", "varchar(9)"))
    found = list(Table.diff(current, declared, FILLED))
    assert [one.sql for one in found] == [
        "ALTER TABLE public.t ALTER COLUMN a TYPE text USING a::text, "
        "ALTER COLUMN b TYPE character varying(9) USING b::character varying(9)"
    ]
    assert found[0].hazards == (Hazard.REWRITES, Hazard.BLOCKS_READS)


def test_a_type_that_keeps_the_bytes_of_the_table_is_no_hazard() -> None:
    current = table(Column("a", "varchar(3)", default="'x'"))
    free = Retypes({"a": Retype(free=True)})
    declared = table(Column("a", "text", default="'x'"))
    (found,) = Table.diff(current, declared, evolve(FILLED, retypes=free))
    assert found.sql == "ALTER TABLE public.t ALTER COLUMN a TYPE text"
    assert found.hazards == ()


def test_what_nobody_has_set_of_a_column_is_neither_said_nor_done() -> None:
    column = TableColumn(
        "a", "text", storage="EXTENDED", compression="default", statistics=-1,
        usual_storage="EXTENDED",
    )  # fmt: skip
    assert list(column.lines()) == ["a text"]
    one = TableColumn(
        "a", "text", storage="MAIN", compression="lz4", statistics=0, comment="default"
    )
    assert list(one.lines()) == [
        "a text", "storage on a MAIN", "compression on a lz4", "statistics on a 0",
        "comment on a 'default'",
    ]  # fmt: skip
    current = table(evolve(column, type=Exact("character varying(10)")))
    assert statements(current, table(evolve(column, storage=None))) == [
        "ALTER TABLE public.t ALTER COLUMN a TYPE text USING a::text"
    ]


def test_values_that_do_not_fit_are_said_to_be_lost() -> None:
    current = table(Column("a", "text"))
    loss = Loss("column", current.name, "a", "a::varchar(3)::text <> a", "2 values")
    one = Retype(using="a::varchar(3)", loss=loss)
    facts = evolve(FILLED, retypes=Retypes({"a": one}))
    (found,) = Table.diff(current, table(Column("a", "varchar(3)")), facts)
    assert found.losses == (loss,)
    assert loss.title == "column public.t.a"


def test_what_is_dropped_is_what_may_be_lost() -> None:
    current = Table("t", [Column("a", "text"), Column("b", "int", generated="1")])
    (drop,) = Table.diff(current, None)
    assert [loss.title for loss in drop.losses] == ["table public.t"]
    found = list(Table.diff(current, evolve(current, columns=())))
    assert [one.sql for one in found] == [
        "ALTER TABLE public.t DROP COLUMN b",
        "ALTER TABLE public.t DROP COLUMN a",
    ]
    assert [loss.rows for one in found for loss in one.losses] == ["public.t WHERE a IS NOT NULL"]


def test_an_index_on_a_table_with_rows_waits_for_the_end_of_the_transaction() -> None:
    declared = evolve(INDEX, comment="x")
    online = IndexFacts(IndexBuild(declared, online=True))
    assert {one.stage for one in StoredIndex.diff(None, declared, online)} == {Stage.AFTER}
    assert {one.stage for one in StoredIndex.diff(None, declared)} == {Stage.MAIN}


def test_an_invalid_index_is_replaced_online() -> None:
    facts = IndexFacts(IndexBuild(INDEX, online=True))
    assert statements(evolve(INDEX, valid=False), INDEX, facts) == [
        "DROP INDEX CONCURRENTLY IF EXISTS public.i",
        "CREATE INDEX CONCURRENTLY i ON public.t USING btree (a)",
    ]


@pytest.mark.parametrize(
    ("every", "day", "first", "end", "name"),
    [
        ("day", "2024-02-28", "2024-02-28", "2024-02-29", "2024_02_28"),
        ("week", "2026-01-01", "2025-12-29", "2026-01-05", "2026_w01"),
        ("week", "2025-12-28", "2025-12-22", "2025-12-29", "2025_w52"),
        ("month", "2025-01-31", "2025-01-01", "2025-02-01", "2025_01"),
        ("month", "2025-12-31", "2025-12-01", "2026-01-01", "2025_12"),
        ("year", "2024-02-29", "2024-01-01", "2025-01-01", "2024"),
    ],
)
def test_periods(every: str, day: str, first: str, end: str, name: str) -> None:
    start = floor(date.fromisoformat(day), every)
    assert (str(start), str(following(start, every)), suffix(start, every)) == (first, end, name)
