"""Random databases that live already, as SQL that others wrote, and changes declared to them.

A scene is what somebody has put into a database: tables with rows, and what depends on them. A
change is a call of one operation; some can't be made, and then the dry run has to say so.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from attrs import frozen

import pyinfra_postgres as pg

from .calls import Call

OWNER = "living_owner"
SETUP = f"CREATE ROLE {OWNER}"

BASIS = """
    CREATE TYPE mood AS ENUM ('calm', 'wild', 'sad');
    CREATE FUNCTION twice(x integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT x * 2';
    CREATE DOMAIN small AS integer CONSTRAINT small_check CHECK (VALUE < 1000);
    CREATE TABLE farm (
        id integer PRIMARY KEY, name varchar(10) NOT NULL, size integer, state mood DEFAULT 'calm',
        herd small, note text, code varchar(10)
    );
    CREATE TABLE child (id serial PRIMARY KEY, farm integer, kind text DEFAULT 'x');
    CREATE TABLE event (farm integer NOT NULL, at date NOT NULL, kind varchar(10), size integer)
        PARTITION BY RANGE (at);
    CREATE TABLE event_25 PARTITION OF event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')
        PARTITION BY LIST (kind);
    CREATE TABLE event_25_a PARTITION OF event_25 FOR VALUES IN ('a');
    CREATE TABLE event_25_b PARTITION OF event_25 DEFAULT;
    CREATE TABLE event_26 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
"""
ROWS = """
    INSERT INTO farm VALUES (1, 'one', 10, 'calm', 5, 'n', 'c1'),
        (2, 'two', 20, 'wild', 6, NULL, 'c2');
    INSERT INTO child (farm) VALUES (1), (1), (2);
    INSERT INTO event VALUES (1, '2025-02-01', 'a', 1), (2, '2025-03-01', 'z', 2);
"""

SCENES = {
    "view": """CREATE VIEW large AS SELECT id, name, size, state FROM farm WHERE size > 1;
        COMMENT ON VIEW large IS 'the large ones'; GRANT SELECT ON large TO PUBLIC""",
    "view on a view": """CREATE VIEW named AS SELECT name, size + 1 AS more FROM farm;
        CREATE VIEW twice_named AS SELECT name, more * 2 AS most FROM named;
        COMMENT ON COLUMN twice_named.most IS 'the most';
        ALTER VIEW twice_named ALTER COLUMN most SET DEFAULT 7""",
    "materialized view": """CREATE MATERIALIZED VIEW counted AS
        SELECT state, count(*) AS n, max(size) AS top FROM farm GROUP BY state;
        CREATE UNIQUE INDEX counted_state ON counted (state)""",
    "body": """CREATE FUNCTION sizes() RETURNS SETOF integer LANGUAGE sql
        BEGIN ATOMIC SELECT size FROM farm WHERE name <> ''; END""",
    "row type": "CREATE FUNCTION label_of(f farm) RETURNS text LANGUAGE sql AS 'SELECT f.name'",
    "policy": """ALTER TABLE farm ENABLE ROW LEVEL SECURITY;
        ALTER TABLE farm FORCE ROW LEVEL SECURITY;
        CREATE POLICY seen ON farm USING (twice(size) > 0 AND state <> 'sad')""",
    "trigger": """CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER touch BEFORE UPDATE OF name ON farm FOR EACH ROW
            WHEN (NEW.size IS DISTINCT FROM OLD.size) EXECUTE FUNCTION touched();
        ALTER TABLE farm ENABLE ALWAYS TRIGGER touch;
        CREATE TRIGGER tick AFTER INSERT ON event FOR EACH ROW EXECUTE FUNCTION touched();
        ALTER TABLE event_26 DISABLE TRIGGER tick""",
    "index": """CREATE INDEX farm_twice ON farm (twice(size));
        ALTER INDEX farm_twice ALTER COLUMN 1 SET STATISTICS 300;
        CREATE INDEX farm_wild ON farm (id) WHERE state = 'wild';
        CREATE INDEX farm_low ON farm (lower(name)); ALTER TABLE farm CLUSTER ON farm_low""",
    "partitioned index": """CREATE INDEX event_kind ON event (lower(kind), size);
        COMMENT ON INDEX event_kind IS 'by kind'""",
    "unique index": "CREATE UNIQUE INDEX farm_code ON farm (code)",
    "generated": """ALTER TABLE farm ADD double integer GENERATED ALWAYS AS (size * 2) STORED;
        ALTER TABLE farm ADD CONSTRAINT double_check CHECK (double < 5000)""",
    "check": "ALTER TABLE farm ADD CONSTRAINT farm_size CHECK (twice(size) > 0 AND name <> '')",
    "foreign key": """ALTER TABLE child ADD CONSTRAINT child_farm FOREIGN KEY (farm)
        REFERENCES farm (id)""",
    "partitions' foreign key": """ALTER TABLE event ADD CONSTRAINT event_farm
        FOREIGN KEY (farm) REFERENCES farm (id)""",
    "heir": """CREATE TABLE barn (roof text) INHERITS (farm);
        INSERT INTO barn (id, name, code) VALUES (9, 'b', 'c9')""",
    "sequence": """CREATE TABLE other (id integer PRIMARY KEY DEFAULT nextval('child_id_seq'));
        CREATE SEQUENCE counter;
        ALTER TABLE farm ALTER note SET DEFAULT nextval('counter')::text""",
    "publication": "CREATE PUBLICATION fed FOR TABLE farm (id, name, size) WHERE (size > 0)",
    "statistics": "CREATE STATISTICS farm_stat ON name, size FROM farm",
    "owner": f"ALTER TABLE farm OWNER TO {OWNER}; ALTER FUNCTION twice OWNER TO {OWNER}",
    "domain's function": """CREATE FUNCTION fine(v text) RETURNS boolean LANGUAGE sql IMMUTABLE
        AS 'SELECT v <> ''bad''';
        CREATE DOMAIN word AS text CONSTRAINT word_check CHECK (fine(VALUE));
        ALTER TABLE child ADD word word DEFAULT 'good'""",
    "array of a domain": "ALTER TABLE child ADD herds small[] DEFAULT '{1}'",
    "identity": "CREATE TABLE log (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, line text)",
    "identifies": """ALTER TABLE farm ALTER code SET NOT NULL;
        CREATE UNIQUE INDEX farm_ident ON farm (code);
        ALTER TABLE farm REPLICA IDENTITY USING INDEX farm_ident""",
    "rule": """CREATE VIEW written AS SELECT id, note FROM farm;
        CREATE RULE nothing AS ON DELETE TO written DO INSTEAD NOTHING""",
}


def _column(name: str, type_: str, **options: Any) -> Call:
    return Call("Column", name, type_, **options)


def _table(name: str, *columns: Call, **options: Any) -> Call:
    return Call("table", name, [*columns], **options)


def _check(expression: str, name: str, **options: Any) -> Call:
    return Call("Check", expression, name=name, **options)


TYPES = {
    ("farm", "name"): ("varchar(20)", "text", "varchar(3)"),
    ("farm", "size"): ("bigint", "numeric", "text", "smallint"),
    ("farm", "state"): ("text", "mood", "varchar(10)"),
    ("farm", "herd"): ("integer", "bigint", "small"),
    ("farm", "code"): ("varchar(20)", "text"),
    ("farm", "id"): ("bigint",),
    ("child", "farm"): ("bigint", "text"),
    ("child", "kind"): ("varchar(5)", "mood"),
    ("event", "kind"): ("varchar(20)", "text"),
    ("event", "size"): ("bigint", "numeric"),
}
NOT_NULL = {("farm", "name"), ("farm", "id"), ("event", "farm"), ("event", "at")}

CHANGES: list[Call] = [
    *(
        _table(table, _column(column, type_, nullable=(table, column) not in NOT_NULL))
        for (table, column), types in TYPES.items()
        for type_ in types
    ),
    *(
        _table(table, _column(column, "text", present=False))
        for table, column in (
            ("farm", "size"), ("farm", "code"), ("farm", "note"), ("child", "kind"),
        )
    ),
    _table("farm", _column("size", "integer", nullable=False)),
    _table("farm", _column("code", "varchar(10)")),
    _table("farm", _column("code", "varchar(10)"),
           constraints=[Call("NotNull", "code", name="code_given")]),
    _table("farm", _column("name", "varchar(10)"),
           constraints=[Call("NotNull", "name", name="farm_code_not_null")]),
    _table("event", _column("size", "integer"),
           constraints=[Call("NotNull", "size", name="size_given", validated=False)]),
    _table("farm", _column("note", "text", nullable=False)),
    _table("farm", _column("size", "integer", default="twice(3)")),
    _table("farm", _column("title", "varchar(10)", nullable=False, renamed_from="name")),
    _table("farm", _column("extent", "integer", renamed_from="size")),
    _table("farm", _column("extra", "integer", nullable=False, default="0")),
    _table("farm", _column("extra", "integer", default="0"),
           constraints=[_check("extra > 0", "more")]),
    _table("farm", _column("extra", "small", default="2000")),
    _table("farm", _column("owner_id", "integer", default="1"), constraints=[
        Call("ForeignKey", "owner_id", references="child(id)", name="farm_owner")]),
    _table("farm", _column("double", "integer", generated="size * 3")),
    _table("farm", _column("double", "integer", generated="nullif(size, 10)", nullable=False)),
    _table("child", _column("id", "integer", nullable=False, identity="ALWAYS")),
    _table("child", _column("id", "integer", nullable=False)),
    _table("child", _column("small_ones", "small[]", default="'{1,2}'")),
    Call("table", "farm", constraints=[_check("size > 5", "size_over")]),
    Call("table", "farm", constraints=[_check("size > 15", "size_over")]),
    Call("table", "farm", constraints=[_check("size > 15", "size_over", validated=False)]),
    Call("table", "farm", constraints=[_check("lower(name) <> ''", "farm_size")]),
    Call("table", "farm", constraints=[Call("Unique", "code", name="farm_code")]),
    Call("table", "farm", constraints=[Call("Unique", "name", name="farm_name_key")]),
    Call("table", "farm", constraints=[Call("PrimaryKey", "id", "name")]),
    Call("table", "farm", constraints=[Call("Constraint", name="farm_size", present=False)]),
    Call("table", "farm", constraints=[Call("Constraint", name="farm_pkey", present=False)]),
    Call("table", "child", constraints=[
        Call("ForeignKey", "farm", references="farm", name="child_farm")]),
    Call("table", "child", constraints=[
        Call("ForeignKey", "farm", references="farm", name="child_farm", validated=False)]),
    Call("table", "child", constraints=[
        Call("ForeignKey", "farm", references="farm(id)", name="child_farm", on_delete="CASCADE")]),
    Call("table", "child", constraints=[Call("Constraint", name="child_farm", present=False)]),
    Call("table", "event", constraints=[Call("Unique", "farm", name="event_farm_key")]),
    Call("table", "event", constraints=[Call("Unique", "farm", "at", "kind", name="event_all")]),
    Call("table", "event", constraints=[_check("size < 100", "event_size")]),
    Call("table", "estate", renamed_from="farm"),
    Call("table", "farm", owner="postgres", comment="c"),
    Call("table", "farm", row_security=False),
    *(Call("table", name, present=False) for name in ("farm", "child", "event", "barn", "log")),
    *(
        Call("enum", "mood", labels, exact=True, **options)
        for labels, options in (
            (["calm", "wild"], {}),
            (["calm", "wild", "sad", "glad"], {}),
            (["calm", "sad", "wild"], {}),
            (["calm", "fierce", "sad"], {"renamed": {"wild": "fierce"}}),
        )
    ),
    Call("enum", "temper", ["calm", "wild", "sad"], renamed_from="mood"),
    Call("enum", "mood", present=False),
    Call("domain", "small", "integer", checks=[_check("VALUE < 500", "small_check")]),
    Call("domain", "small", "integer", checks=[_check("VALUE < 6", "small_check")]),
    Call("domain", "small", "integer", checks=[
        _check("VALUE < 6", "small_check", validated=False)]),
    Call("domain", "small", "integer", checks=[_check("twice(VALUE) < 500", "small_check")]),
    Call("domain", "small", "integer", checks=[], nullable=False),
    Call("domain", "small", present=False),
    Call("domain", "word", present=False),
    *(
        Call(
            "function", "twice", arguments=arguments, returns=returns, body=body,
            volatility="IMMUTABLE",
        )
        for arguments, returns, body in (
            ("x integer", "integer", "SELECT x + x"),
            ("y integer", "integer", "SELECT y * 2"),
            ("x integer", "bigint", "SELECT x * 2::bigint"),
        )
    ),
    Call("function", "twice", arguments="integer", present=False),
    Call("function", "fine", arguments="text", present=False),
    Call("function", "fine", arguments="w text", returns="boolean", body="SELECT w <> 'worse'",
         volatility="IMMUTABLE"),
    Call("function", "touched", present=False),
    Call("function", "sizes", present=False),
    Call("index", "farm_twice", "farm", ["size"]),
    Call("index", "farm_twice", "farm", ["twice(size)"], where="size > 0"),
    Call("index", "farm_wild", "farm", ["id"], where="size > 3"),
    Call("index", "farm_code", "farm", ["code"]),
    Call("index", "farm_code", "farm", ["code", "id"], unique=True),
    Call("index", "event_kind", "event", ["kind"]),
    Call("index", "event_26_kind", "event_26", ["kind"]),
    Call("index", "event_at", "event", ["at", "size"]),
    *(
        Call("index", name, table, present=False)
        for name, table in (
            ("farm_twice", "farm"), ("farm_wild", "farm"), ("farm_code", "farm"),
            ("event_kind", "event"), ("farm_low", "farm"), ("farm_ident", "farm"),
        )
    ),
    Call("policy", "seen", "farm", using="twice(size) > 1"),
    Call("policy", "seen", "farm", using="twice(x => size) > 1"),
    Call("policy", "seen", "farm", present=False),
    Call("trigger", "touch", "farm", when="BEFORE UPDATE", function="touched()"),
    Call("trigger", "touch", "farm", when="BEFORE UPDATE", function="touched()",
         condition="NEW.id > 0"),
    Call("trigger", "touch", "farm", present=False),
    Call("trigger", "tick", "event", when="AFTER INSERT OR DELETE", function="touched()"),
    Call("trigger", "tick", "event", present=False),
    Call("view", "large", "SELECT id, name FROM farm WHERE size > 2"),
    Call("view", "large", "SELECT id, name, size, state, note FROM farm"),
    Call("view", "named", "SELECT name, size + 2 AS more FROM farm"),
    Call("view", "named", "SELECT name, name AS more FROM farm"),
    Call("view", "twice_named", "SELECT name, more + 1 AS most FROM named"),
    Call("materialized_view", "counted", "SELECT state, count(*) AS n FROM farm GROUP BY state"),
    *(Call("view", name, present=False) for name in ("large", "named", "twice_named", "written")),
    Call("materialized_view", "counted", present=False),
    Call("partition", "event_27", "event", "FROM ('2027-01-01') TO ('2028-01-01')"),
    Call("partition", "event_25_z", "event_25", "IN ('z')"),
    Call("partition", "event_25_c", "event_25", "IN ('c')"),
    Call("partition", "event_26", "event", present=False),
    Call("partition", "event_26", "event", attached=False),
    Call("partition", "event_25_b", "event_25", present=False),
    Call("sequence", "counter", increment=5),
    Call("sequence", "counter", minimum=100, start=100),
    Call("sequence", "counter", owned_by="farm.id"),
    Call("sequence", "counter", present=False),
    Call("sequence", "child_id_seq", present=False),
    Call("statistics", "farm_stat", "farm", ["name", "code"]),
    Call("statistics", "farm_stat", "farm", present=False),
    Call("grant", "SELECT", on="TABLE farm", to=OWNER),
    Call("schema", "rural"),
    Call("table", "rural.farm", renamed_from="farm"),
]  # fmt: skip


@frozen
class Living:
    """A database with what lives in it, and what is declared to it, step after step."""

    scenes: tuple[str, ...]
    has_rows: bool
    steps: tuple[tuple[Call, ...], ...]

    def sql(self) -> str:
        """What makes it."""
        rows = ROWS if self.has_rows else ""
        return ";".join([BASIS, rows, *(SCENES[one] for one in self.scenes)])

    def __repr__(self) -> str:
        steps = "\n---\n".join("\n".join(map(repr, step)) for step in self.steps)
        return f"rows: {self.has_rows}; {', '.join(self.scenes)}\n{steps}"


def deploy(step: tuple[Call, ...]) -> Callable[[], None]:
    """The operations of one step, in one transaction."""

    def declare() -> None:
        with pg.transaction():
            for call in step:
                call()

    return declare


def living(number: int, steps: int) -> Living:
    """A database, and so many steps: the same for a number whatever else runs."""
    chance = Random(number)
    scenes = chance.sample(list(SCENES), chance.randint(0, 7))
    has_rows = chance.random() < 0.7
    drawn = [tuple(chance.sample(CHANGES, chance.choice((1, 1, 2, 3)))) for _ in range(steps)]
    return Living(tuple(scenes), has_rows, tuple(drawn))


_TABLES = (
    "farm", "child", "event", "event_25", "event_25_a", "event_25_b", "event_26", "barn", "log",
    "estate", "rural.farm",
)  # fmt: skip
_COLUMNS = (
    "id", "name", "size", "state", "herd", "note", "code", "kind", "farm", "double", "extra",
    "title", "extent", "word", "herds", "roof",
)  # fmt: skip
ALLOWED = ",".join([
    *_TABLES, *(f"{table}.{column}" for table in _TABLES for column in _COLUMNS),
    "mood", "temper", "counter", "child_id_seq",
])  # fmt: skip
"""The names that permit every loss and lock."""
