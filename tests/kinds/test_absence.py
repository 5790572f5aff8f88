"""Columns and constraints that are declared not to be there."""

from __future__ import annotations

import pytest

import pyinfra_postgres as pg
from harness import Database, one_version
from harness.process import Deploy, run
from pyinfra_postgres.errors import DeclarationError
from pyinfra_postgres.plan.plan import Stage

pytestmark = one_version

SETUP = """
CREATE TABLE job (
  id bigint PRIMARY KEY, note text, size integer CONSTRAINT positive CHECK (size > 0),
  number serial, UNIQUE (id, note));
CREATE INDEX job_lower ON job (lower(note)) WHERE id > 0;
CREATE STATISTICS job_pair ON id, note FROM job;
INSERT INTO job (id, size) VALUES (1, 7), (2, 8);
"""


@pytest.fixture(autouse=True)
def _job(database: Database) -> None:
    database.psql(SETUP)


def without(*columns: str, constraints: tuple[pg.Constraint, ...] = ()) -> Deploy:
    absent = [pg.Column(name, present=False) for name in columns]
    return lambda: pg.table("job", absent, constraints=constraints)


def columns(database: Database) -> str:
    return database.psql(
        "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute "
        "WHERE attrelid = 'job'::regclass AND attnum > 0 AND NOT attisdropped"
    )


def test_an_empty_column_goes_with_what_is_about_it(database: Database) -> None:
    outcome = run(database, without("note")).succeeded()
    (change,) = outcome.plan.changes
    assert {"- note text", "- CONSTRAINT job_id_note_key UNIQUE (id, note)"} <= {*change.lines}
    assert change.statements[-1].sql == "ALTER TABLE public.job DROP COLUMN note"
    assert change.statements[-1].also == ("index public.job_lower", "statistics public.job_pair")
    assert columns(database) == "id size number"
    assert database.psql("SELECT id, size FROM job ORDER BY 1") == "1|7\n2|8"
    assert not run(database, without("note")).succeeded().plan.changes


@pytest.mark.parametrize("allowed", ["", "job", "public.job", "size", "public.job.note"])
def test_values_are_lost_only_by_their_columns_name(database: Database, allowed: str) -> None:
    outcome = run(database, without("size"), postgres_allow=allowed).refused()
    assert (
        "table public.job: ALTER TABLE public.job DROP COLUMN size would lose 2 values; to allow "
        "it, run with --data 'postgres_allow=public.job.size'" in outcome.messages
    )
    assert columns(database) == "id note size number"


@pytest.mark.parametrize("allowed", ["job.size", "public.job.size", "column public.job.size"])
def test_the_columns_name_allows_it(database: Database, allowed: str) -> None:
    outcome = run(database, without("size"), postgres_allow=allowed).succeeded()
    dropped = outcome.plan.changes[0].statements[-1]
    assert [loss.told for loss in dropped.losses] == ["2 values"]
    assert columns(database) == "id note number"


def test_the_name_of_a_table_is_not_that_of_a_column(database: Database) -> None:
    database.psql("CREATE SCHEMA job; CREATE TABLE job.size (id integer)")
    run(database, without("size"), postgres_allow="job.size").refused()
    run(database, without("size"), postgres_allow="column job.size").succeeded()


def test_values_that_came_since_the_plan_stop_it(database: Database) -> None:
    def deploy() -> None:
        with pg.transaction():
            pg.sql("UPDATE job SET note = 'late' WHERE id = 1")
            without("note")()

    # The plan counts before the statement above has run.
    assert "column public.job.note has values by now" in run(database, deploy).refused().messages
    assert columns(database) == "id note size number"


def test_a_serial_column_goes_with_its_sequence(database: Database) -> None:
    outcome = run(database, without("number"), postgres_allow="job.number").succeeded()
    assert outcome.plan.changes[0].statements[-1].also == ("sequence public.job_number_seq",)
    assert database.psql("SELECT to_regclass('job_number_seq')") == ""


def test_what_depends_on_a_column_is_told_and_kept(database: Database) -> None:
    database.psql("CREATE VIEW notes AS SELECT note FROM job")
    outcome = run(database, without("note")).refused()
    assert "its note is used by view public.notes: remove or change that too" in outcome.messages
    assert columns(database) == "id note size number"


def test_what_is_computed_from_a_column_or_refers_to_it_is_told(database: Database) -> None:
    database.psql(
        "ALTER TABLE job ADD loud text GENERATED ALWAYS AS (upper(note)) STORED; "
        "CREATE TABLE child (job bigint REFERENCES job, parent bigint REFERENCES job)"
    )
    before = database.dump()
    for column in ("id", "note"):
        outcome = run(database, without(column), postgres_allow="job.id").refused()
        user = {
            "id": "constraint child_job_fkey on table public.child, "
            "constraint child_parent_fkey on table public.child",
            "note": "generated column loud of table public.job",
        }[column]
        assert f"its {column} is used by {user}: remove or change that too" in outcome.messages
    assert database.dump() == before

    def deploy() -> None:
        with pg.transaction():
            without("id", "note", "loud")()
            pg.table("child", [pg.Column("job", present=False)])
            pg.table("child", constraints=[pg.Constraint(name="child_parent_fkey", present=False)])

    run(database, deploy, postgres_allow="job.id").succeeded()
    assert columns(database) == "size number"


def test_what_publishes_a_column_is_told_and_a_whole_table_goes_from_it(database: Database) -> None:
    database.psql("CREATE PUBLICATION out FOR TABLE job (id, note)")
    outcome = run(database, without("note")).refused()
    assert "its note is used by publication of table public.job in publication out" in (
        outcome.messages
    )
    assert columns(database) == "id note size number"
    run(database, lambda: pg.table("job", present=False), postgres_allow="job").succeeded()
    assert database.psql("SELECT to_regclass('job')") == ""


def test_a_policy_that_changes_otherwise_still_holds_its_columns(database: Database) -> None:
    database.psql("CREATE POLICY p ON job USING (note IS NULL)")

    def deploy(using: str) -> None:
        with pg.transaction():
            pg.policy("p", "job", roles="pg_monitor", using=using)
            without("note")()

    assert "its note is used by policy p on table public.job" in (
        run(database, lambda: deploy("note IS NULL")).refused().messages
    )
    run(database, lambda: deploy("size > 0")).succeeded()


def test_a_column_goes_when_what_is_declared_no_longer_uses_it(database: Database) -> None:
    database.psql("CREATE MATERIALIZED VIEW notes AS SELECT note AS id FROM job")

    def deploy() -> None:
        with pg.transaction():
            without("note")()
            pg.materialized_view("notes", "SELECT id FROM job")

    run(database, deploy).succeeded()
    assert columns(database) == "id size number"


def test_what_does_not_use_a_column_goes_in_its_place(database: Database) -> None:
    database.psql(
        "CREATE VIEW other AS SELECT id FROM job; "
        "CREATE FUNCTION f(other) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'; "
        "CREATE VIEW notes AS SELECT note FROM job"
    )

    def deploy() -> None:
        with pg.transaction():
            without("note")()
            pg.view("notes", present=False)
            pg.function("f", arguments="other", present=False)
            pg.view("other", present=False)

    run(database, deploy).succeeded()
    assert columns(database) == "id size number"


def test_what_uses_a_column_goes_before_it_and_what_it_uses_behind_it(database: Database) -> None:
    database.psql(
        "CREATE FUNCTION noted() RETURNS text LANGUAGE sql AS $$SELECT 'none'$$; "
        "ALTER TABLE job ALTER note SET DEFAULT noted(); "
        "CREATE VIEW notes AS SELECT note FROM job; "
        "CREATE POLICY p ON job USING (note = ''); "
        "CREATE FUNCTION first_note() RETURNS text STABLE RETURN (SELECT max(note) FROM job); "
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
        "CREATE TRIGGER tr BEFORE UPDATE OF note ON job FOR EACH ROW EXECUTE FUNCTION f(); "
        "CREATE TABLE child (id bigint, note text, "
        "  FOREIGN KEY (id, note) REFERENCES job (id, note))"
    )

    def deploy() -> None:
        with pg.transaction():
            without("note")()
            pg.function("noted", present=False)
            pg.view("notes", present=False)
            pg.policy("p", "job", present=False)
            pg.function("first_note", present=False)
            pg.trigger("tr", "job", present=False)
            pg.table("child", present=False)

    outcome = run(database, deploy).succeeded()
    assert [one.sql for _, one in outcome.plan.of(Stage.MAIN)][-2:] == [
        "ALTER TABLE public.job DROP COLUMN note",
        "DROP FUNCTION public.noted()",
    ]
    assert columns(database) == "id size number"
    assert not run(database, deploy).succeeded().plan.changes


@pytest.mark.parametrize(
    "absent",
    [
        pytest.param(pg.Constraint(name="positive", present=False), id="by its name"),
        pytest.param(pg.Check("size > 0", present=False), id="by what it says"),
        pytest.param(pg.Check("size > 9", name="positive", present=False), id="by both"),
    ],
)
def test_a_constraint_goes(database: Database, absent: pg.Constraint) -> None:
    deploy = without(constraints=(absent,))
    (change,) = run(database, deploy).succeeded().plan.changes
    assert [one.sql for one in change.statements] == [
        "ALTER TABLE public.job DROP CONSTRAINT positive"
    ]
    assert not run(database, deploy).succeeded().plan.changes


def test_a_foreign_key_locks_both_tables(database: Database) -> None:
    database.psql("CREATE TABLE step (job bigint REFERENCES job)")
    key = pg.ForeignKey("job", references="job", present=False)
    outcome = run(database, lambda: pg.table("step", constraints=[key])).succeeded()
    locks = outcome.plan.changes[0].statements[0].locks
    assert sorted(lock.relation.name for lock in locks) == ["job", "step"]


def test_a_check_of_a_domain_goes(database: Database) -> None:
    database.psql("CREATE DOMAIN short AS text CONSTRAINT long CHECK (length(value) < 9)")
    gone = pg.Constraint(name="long", present=False)
    outcome = run(database, lambda: pg.domain("short", "text", checks=[gone])).succeeded()
    assert [one.sql for one in outcome.plan.changes[0].statements] == [
        "ALTER DOMAIN public.short DROP CONSTRAINT long"
    ]


def test_of_a_table_that_is_not_there_nothing_is_missing(database: Database) -> None:
    absent = pg.Column("note", present=False)
    assert not run(database, lambda: pg.table("none", [absent])).succeeded().plan.changes
    both = [pg.Column("id", "integer"), absent]
    run(database, lambda: pg.table("new", both, constraints=[])).succeeded()
    assert database.psql("SELECT count(*) FROM pg_attribute WHERE attrelid = 'new'::regclass "
                         "AND attnum > 0") == "1"  # fmt: skip


def test_two_operations_that_disagree_are_refused(database: Database) -> None:
    def deploy() -> None:
        with pg.transaction():
            pg.table("job", [pg.Column("note", "text")], name="kept")
            pg.table("job", [pg.Column("note", present=False)], name="dropped")

    message = "operation 'kept' declares it otherwise in the same run"
    assert message in run(database, deploy).refused().messages


@pytest.mark.parametrize(
    "deploys",
    [
        (
            lambda: pg.grant("SELECT", on="job", to="PUBLIC"),
            lambda: pg.grant("ALL", on="job", to="PUBLIC", present=False),
        ),
        (lambda: pg.schema("s"), lambda: pg.schema("s", present=False)),
        (lambda: pg.enum("e", ["a"]), lambda: pg.enum("e", ["b"])),
        (lambda: pg.index("i", "job", ["id"]), lambda: pg.index("i", "job", present=False)),
        (
            lambda: pg.index("job_lower", "job", comment="x"),
            lambda: pg.index("job_lower", "job", present=False),
        ),
        (lambda: pg.table("job", row_security=True), lambda: pg.table("job", present=False)),
        (
            lambda: pg.table("job", constraints=[pg.Check("id > 0", name="c")]),
            lambda: pg.table("job", present=False),
        ),
    ],
    ids=["privileges", "a schema", "labels", "an index", "a comment", "row security", "a check"],
)
@pytest.mark.parametrize("order", [1, -1], ids=["in this order", "the other way round"])
def test_operations_of_which_one_undoes_the_other_are_refused(
    database: Database, deploys: tuple[Deploy, ...], order: int
) -> None:
    def deploy() -> None:
        with pg.transaction():
            for one in deploys[::order]:
                one()

    messages = run(database, deploy, postgres_allow="job").refused().messages
    assert "declares it otherwise in the same run" in messages


def test_what_takes_parts_away_or_switches_them_off_may_come_before_the_end_of_all(
    database: Database,
) -> None:
    def deploy() -> None:
        with pg.transaction():
            without("note", constraints=(pg.Constraint(name="positive", present=False),))()
            pg.table("job", row_security=False)
            pg.table("job", present=False)

    run(database, deploy, postgres_allow="job").succeeded()
    assert database.psql("SELECT to_regclass('job')") == ""


def test_different_privileges_are_kept_and_taken_away(database: Database) -> None:
    def deploy() -> None:
        with pg.transaction():
            pg.grant("SELECT", on="job", to="PUBLIC")
            pg.grant("INSERT", on="job", to="PUBLIC", present=False)

    assert run(database, deploy).succeeded().plan.changes
    assert not run(database, deploy).succeeded().plan.changes


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: pg.Column("note"), "column note needs a type"),
        (lambda: pg.Constraint(name="c"), "takes one away"),
        (lambda: pg.Constraint(present=False), "takes one away"),
        (
            lambda: pg.Table("t", [pg.Column("a", present=False), pg.Column("a", "text")]),
            "declared twice",
        ),
    ],
)
def test_mistakes_are_told(wrong: Deploy, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        wrong()
