"""A tenant on the deployed platform: nothing of theirs runs as anybody else, or for anybody."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import product
from uuid import uuid4

import pytest

from harness import Database, Platform, one_version

from .conftest import Trap

ORG, USER = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-0000000000a1"

ROWS = f"""
    INSERT INTO public.organization (id, name, slug) VALUES ('{ORG}', 'A', 'a');
    INSERT INTO auth.users_extended (id, org_id, email) VALUES ('{USER}', '{ORG}', 'a');
    INSERT INTO public.sync_error_log (org_id, message) VALUES ('{ORG}', 'x');
"""
WRONG = [
    # They come to messages, which are put together by functions that take "any".
    "UPDATE public.sync_progress SET current_item = 11",
    "UPDATE public.sync_progress SET processed_count = 11",
    "UPDATE public.sync_progress SET total_items = -1",
    "UPDATE public.sync_progress SET completed_at = '2001-01-01'",
]

# All that the platform has written and the server still reads or runs.
SOURCES = """
    SELECT prosrc FROM pg_proc WHERE pronamespace::regnamespace::text IN ('public', 'auth')
    UNION ALL SELECT concat(qual, ' ', with_check) FROM pg_policies
    UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint
    UNION ALL SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef
    UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger
    UNION ALL SELECT definition FROM pg_views WHERE schemaname IN ('public', 'auth')"""
CALLS = """
    SELECT format('SELECT %I.%I()', nspname, proname)
    FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
    WHERE nspname IN ('public', 'auth') AND pronargs = 0 AND prorettype <> 'trigger'::regtype"""
TABLES = """
    SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
    WHERE schemaname IN ('public', 'auth') AND tablename !~ '_(\\d+|default)$'"""


def writes() -> str:
    """Writes to every table that is open to tenants.

    Without operators, casts or calls of their own, which would be the tenant's own doing.
    """
    key = uuid4()
    return f"""
    INSERT INTO public.sync_progress (org_id, sync_id, entity_type, source_system, total_items)
      VALUES ('{ORG}', 'x', 'order', 'odoo', 10);
    UPDATE public.sync_progress SET processed_count = 5, failed_count = 1, status = 'in_progress';
    UPDATE public.sync_progress SET status = 'completed';
    UPDATE public.sync_progress SET status = 'in_progress';
    INSERT INTO public.sync_preview_cache (org_id, sync_type, entity_type, preview_data, created_by)
      VALUES ('{ORG}', 'odoo', 'order', '{{}}', '{USER}');
    INSERT INTO public.sync_activity_log (org_id, action, status, user_id, error_message)
      VALUES ('{ORG}', 'sync_start', 'in_progress', '{USER}', 'x');
    UPDATE public.sync_activity_log SET status = 'failed';
    INSERT INTO public.sync_retry_policy (org_id, id, name) VALUES ('{ORG}', '{key}', '{key}');
    INSERT INTO public.sync_schedule (org_id, id, name, job_type, run_every, retry_policy_id)
      VALUES ('{ORG}', '{key}', '{key}', 'x', '1 hour', '{key}');
    UPDATE public.sync_schedule SET is_active = false;
    INSERT INTO public.sync_job_queue (org_id, job_type, schedule_id, retry_policy_id)
      VALUES ('{ORG}', 'x', '{key}', '{key}');
    UPDATE public.organization SET name = 'New';
    UPDATE auth.users_extended SET full_name = 'New';
    DELETE FROM public.sync_preview_cache;
"""


@pytest.fixture
def deployed(platform: Platform, database: Database) -> Database:
    """A database with the platform and one tenant."""
    platform("deploy", database).succeeded()
    database.psql(ROWS)
    return database


@pytest.fixture
def tenant(deployed: Database, stranger: str) -> str:
    """A role that works for the tenant, and has got all rights to create that a role may have."""
    deployed.psql(
        f"""GRANT authenticated TO {stranger};
            ALTER ROLE {stranger} SET app.current_user_id = '{USER}';
            GRANT CREATE, TEMPORARY ON DATABASE {deployed.name} TO {stranger};
            GRANT CREATE ON SCHEMA public TO {stranger}"""
    )
    return stranger


def temporary_twins(database: Database, trap: Trap) -> Iterator[str]:
    """Of every type a domain, and of every table a view, that springs the trap."""
    yield f"CREATE FUNCTION pg_temp.sprung() RETURNS bool LANGUAGE plpgsql AS {trap.body()}"
    yield from database.psql(
        """SELECT format('CREATE DOMAIN pg_temp.%I AS %I.%1$I CHECK (pg_temp.sprung())',
                         typname, typnamespace::regnamespace::text)
           FROM pg_type
           WHERE typtype IN ('b', 'e', 'd') AND typcategory <> 'A' AND typname !~ '^pg_'
             AND typnamespace::regnamespace::text IN ('pg_catalog', 'public', 'auth')
           UNION ALL
           SELECT format('CREATE VIEW pg_temp.%I AS SELECT * FROM %s WHERE pg_temp.sprung()',
                         relname, oid::regclass)
           FROM pg_class
           WHERE relkind IN ('r', 'p', 'v') AND NOT relispartition
             AND relnamespace::regnamespace::text IN ('public', 'auth')"""
    ).splitlines()


def public_twins(database: Database, trap: Trap) -> Iterator[str]:
    """Of every function and operator that is named, a better match in public."""
    words = set(re.findall(r"\w+", database.psql(SOURCES)))
    types = [
        *("uuid", "text", "varchar", "int2", "int4", "int8", "numeric", "timestamptz", "interval"),
        *("bool", "public.sync_status_type", "public.sync_action"),
    ]

    def create(name: str, arguments: str, result: str) -> str:
        return (
            f"CREATE FUNCTION public.{name}({arguments}) RETURNS {result} LANGUAGE plpgsql"
            f" AS {trap.body()}"
        )

    names = ", ".join(f"'{word}'" for word in sorted(words))
    for name, arguments, result in database.rows(
        f"""SELECT quote_ident(proname), pg_get_function_identity_arguments(p.oid),
                   pg_get_function_result(p.oid)
            FROM pg_proc AS p
            WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND NOT proretset
              AND proname IN ({names})
              AND NOT EXISTS (SELECT FROM pg_type
                              WHERE pg_type.oid = ANY (proargtypes::oid[] || prorettype)
                                AND typtype = 'p')"""
    ):
        yield create(name, arguments, result)
    for count in (1, 2, 3):
        for given in product(("int4", "text", "varchar", "timestamptz"), repeat=count):
            yield create("format", ", ".join(["text", *given]), "text")
    for one in types:
        yield create("compared", f"{one}, {one}", "bool")
        for symbol in ("=", "<>", "<", "<=", ">", ">="):
            yield (
                f"CREATE OPERATOR public.{symbol} (LEFTARG = {one}, RIGHTARG = {one},"
                " FUNCTION = public.compared)"
            )
        yield create("calculated", f"{one}, {one}", one)
        for symbol in ("+", "-", "*", "/"):
            yield (
                f"CREATE OPERATOR public.{symbol} (LEFTARG = {one}, RIGHTARG = {one},"
                " FUNCTION = public.calculated)"
            )


@pytest.mark.parametrize("twins", [temporary_twins, public_twins])
def test_nothing_of_a_tenants_runs_with_what_the_platform_wrote(
    deployed: Database, tenant: str, trap: Trap, twins: Callable[[Database, Trap], Iterator[str]]
) -> None:
    calls = deployed.psql(CALLS).splitlines()
    reads = [f"SELECT FROM {table}" for table in deployed.psql(TABLES).splitlines()]
    assert len(calls) >= 3
    assert len(reads) == 9
    made = list(twins(deployed, trap))
    assert len(made) > 60
    refused = "".join(
        f"DO $$ BEGIN {one}; EXCEPTION WHEN check_violation THEN END $$;\n" for one in WRONG
    )
    # First with the usual search path, then with the one that serves them best.
    work = ";\n".join([*reads, writes(), refused, *calls])
    again = ";\n".join(["SET search_path = public, pg_catalog", *reads, writes(), refused, *calls])
    dsn = deployed.dsn.replace("postgres@", f"{tenant}@")
    deployed.psql(";\n".join([*made, work, again]), dsn=dsn)
    assert trap.sprung() == []
    assert deployed.psql("SELECT count(*) FROM public.sync_progress") == "2"
    # A worker is no tenant, and owns the tables.
    deployed.psql(f"SET search_path = public, pg_catalog;\n{writes()};\n{refused}")
    assert trap.sprung() == []


def test_the_attack_of_a_tenant_who_has_no_right_but_everybodys(
    deployed: Database, stranger: str, trap: Trap
) -> None:
    deployed.psql(f"GRANT authenticated TO {stranger}")
    # PostgreSQL gives it to everybody; the deploy has taken it away.
    dsn = deployed.dsn.replace("postgres@", f"{stranger}@")
    assert "permission denied to create temporary" in deployed.error(
        "CREATE DOMAIN pg_temp.uuid AS pg_catalog.uuid", dsn=dsn
    )
    deployed.psql(f"GRANT TEMPORARY ON DATABASE {deployed.name} TO PUBLIC")
    deployed.psql(
        f"""CREATE FUNCTION pg_temp.evil(pg_catalog.text) RETURNS bool LANGUAGE plpgsql
              AS {trap.body("RETURN true")};
            CREATE DOMAIN pg_temp.uuid AS pg_catalog.uuid
              CHECK (pg_temp.evil(value::pg_catalog.text));
            SET app.current_user_id = '{USER}';
            SELECT auth.current_org_id();
            SELECT FROM public.sync_progress""",
        dsn=dsn,
    )
    assert trap.sprung() == []


@one_version
def test_a_tenants_dates_do_not_stand_against_the_next_deploy(
    platform: Platform, database: Database, stranger: str
) -> None:
    platform("deploy", database, postgres_today=None).succeeded()
    database.psql(ROWS)
    database.psql(f"GRANT authenticated TO {stranger}")
    dsn = database.dsn.replace("postgres@", f"{stranger}@")

    def log(time: str) -> str:
        return f"""SET app.current_user_id = '{USER}';
            INSERT INTO public.sync_activity_log (org_id, action, status, created_at)
            VALUES ('{ORG}', 'sync_start', 'in_progress', {time})"""

    for time in (
        "'-infinity'",
        "'4713-01-01 BC'",
        "'infinity'",
        "'2025-10-31'",
        "now() + interval '2 days'",
    ):
        assert re.search("ERROR:  (23514|42501)", database.error(log(time), dsn=dsn)), time
    for time in ("'2025-11-01 00:00:00+00'", "now()", "now() + interval '23 hours'"):
        database.psql(log(time), dsn=dsn)
    months = "SELECT count(*) FROM pg_inherits"
    before = int(database.psql(months))
    day = database.psql("SELECT (date_trunc('month', now()) + interval '3 months')::date")
    platform("deploy", database, postgres_today=day).succeeded()
    assert int(database.psql(months)) > before
