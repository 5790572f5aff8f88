"""The seventh task: tenants have these privileges and no others, and no way past row security."""

# The statements are put together from constants of this package, never from input.

from collections.abc import Mapping

import pyinfra_postgres as pg

from .access import TABLES, TENANT_FUNCTIONS, TENANT_ROLE, tenant_privileges
from .integration_checks import CURRENT_ORG, ROLE
from .isolation_checks import of
from .sync import FUNCTIONS
from .sync import TABLES as SYNC_TABLES
from .tasks import READINESS
from .tenants import ROWS_OF_BOTH, TENANTS, USER_A, as_tenant

# Of the role itself, of PUBLIC, and of roles that it is a member of.
_HELD = f"(grantee = 0 OR pg_has_role('{TENANT_ROLE}', grantee, 'MEMBER'))"


def reach() -> None:
    """Privileges first, then what they could lead to."""
    _tables()
    _functions()
    _nothing_is_created()
    _detours()
    _constraints()
    _names_of_their_own()


def _relations() -> str:
    """The platform's tables, as an array of their oids."""
    tables = ", ".join(f"to_regclass('{table}')" for table in TABLES)
    return f"ARRAY[{tables}]::oid[]"


def _tables() -> None:
    pg.check(
        "tenants have these privileges on tables and columns, none on partitions",
        f"""WITH tables AS (
              SELECT oid, relacl, relowner, relnamespace::regnamespace || '.' || relname AS name
              FROM pg_class
              WHERE oid IN (SELECT unnest({_relations()})
                            UNION SELECT relid FROM unnest({_relations()}) AS one,
                                                    pg_partition_tree(one)))
            SELECT name, string_agg(privilege, ', ' ORDER BY privilege COLLATE "C")
            FROM (SELECT name, privilege_type AS privilege
                  FROM tables, aclexplode(coalesce(relacl, acldefault('r', relowner)))
                  WHERE {_HELD}
                  UNION
                  SELECT name, privilege_type || ' ' || attname
                  FROM tables JOIN pg_attribute ON attrelid = oid, aclexplode(attacl)
                  WHERE {_HELD}) AS found
            GROUP BY name
            ORDER BY name COLLATE "C" """,
        [(table, _held(granted)) for table, granted in sorted(tenant_privileges().items())],
        task=READINESS,
        needs=[ROLE, *(f"table {table}" for table in TABLES)],
        disclosed=True,
    )


def _held(granted: Mapping[str, str]) -> str:
    """Privileges as the check has them, those on columns with the column's name."""
    return ", ".join(
        sorted(
            f"{privilege} {column}".rstrip()
            for privilege, columns in granted.items()
            for column in columns.split(", ")
        )
    )


def _functions() -> None:
    names = ", ".join(f"'public.{name}'" for name in FUNCTIONS)
    pg.check(
        "tenants call these functions, and of others none with its owner's rights",
        f"""SELECT name || '(' || pg_get_function_identity_arguments(oid) || ')'
            FROM (SELECT oid, proacl, proowner, prosecdef,
                         pronamespace::regnamespace || '.' || proname AS name
                  FROM pg_proc) AS functions
            WHERE (name ~ '^auth[.]' OR name IN ({names}) OR prosecdef)
              AND name !~ '^pg_catalog[.]'
              AND NOT EXISTS (SELECT FROM pg_depend
                              WHERE classid = 'pg_proc'::regclass AND objid = oid
                                AND deptype = 'e')
              AND EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner)))
                          WHERE {_HELD})
            ORDER BY name COLLATE "C" """,
        [(function,) for function in sorted(TENANT_FUNCTIONS)],
        task=READINESS,
        needs=[ROLE, CURRENT_ORG, *(f"function public.{name}()" for name in FUNCTIONS)],
        disclosed=True,
    )


def _nothing_is_created() -> None:
    pg.check(
        "tenants create nothing, in no schema and no temporary objects",
        f"""SELECT 'schema ' || nspname, privilege_type
            FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner)))
            WHERE nspname !~ '^pg_(toast|temp)' AND privilege_type = 'CREATE' AND {_HELD}
            UNION
            SELECT 'database ' || datname, privilege_type
            FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba)))
            WHERE datname = current_database() AND privilege_type <> 'CONNECT' AND {_HELD}
            ORDER BY 1, 2""",
        [],
        task=READINESS,
        needs=ROLE,
        disclosed=True,
    )


def _detours() -> None:
    pg.check(
        "no view and no heir of a table shows tenants its rows",
        f"""WITH RECURSIVE shown(oid) AS (
              SELECT unnest({_relations()})
              UNION
              SELECT users.oid
              FROM shown JOIN (
                SELECT ev_class, refobjid
                FROM pg_rewrite JOIN pg_depend ON pg_depend.objid = pg_rewrite.oid
                WHERE classid = 'pg_rewrite'::regclass AND refclassid = 'pg_class'::regclass
                UNION ALL
                SELECT inhrelid, inhparent FROM pg_inherits) AS users(oid, used)
                ON users.used = shown.oid)
            SELECT oid::regclass::text
            FROM pg_class
            WHERE oid IN (SELECT oid FROM shown) AND oid <> ALL ({_relations()})
              AND NOT EXISTS (SELECT FROM pg_options_to_table(reloptions)
                              WHERE option_name = 'security_invoker' AND option_value::boolean)
              AND (EXISTS (SELECT FROM aclexplode(relacl) WHERE {_HELD})
                   OR EXISTS (SELECT FROM pg_attribute, aclexplode(attacl)
                              WHERE attrelid = pg_class.oid AND {_HELD}))
            ORDER BY 1""",
        [],
        task=READINESS,
        needs=ROLE,
        disclosed=True,
    )


def _constraints() -> None:
    pg.check(
        "every foreign key and check holds for all rows",
        f"""SELECT conrelid::regclass::text, conname::text FROM pg_constraint
            WHERE conrelid = ANY ({_relations()}) AND NOT convalidated
            ORDER BY 1, 2""",
        [],
        task=READINESS,
        needs=[f"table {table}" for table in TABLES],
        disclosed=True,
    )


# Whatever a body would look up in pg_temp is there, and tells who has used it.
_TRAPS = f"""DO $do$
    DECLARE
      twin record;
    BEGIN
      CREATE FUNCTION pg_temp.sprung() RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN
          PERFORM pg_catalog.set_config('sync_check.answer', 'ran as ' || current_user, true);
          RETURN true;
        END $$;
      FOR twin IN
        SELECT format('VIEW pg_temp.%I AS SELECT * FROM %s WHERE pg_temp.sprung()',
                      relname, oid::regclass) AS definition
        FROM pg_class WHERE oid = ANY ({_relations()})
        UNION ALL
        SELECT format('DOMAIN pg_temp.%I AS %I.%1$I CHECK (pg_temp.sprung())',
                      typname, typnamespace::regnamespace::text)
        FROM pg_type
        WHERE typtype IN ('b', 'e') AND typcategory <> 'A' AND typname !~ '^pg_'
          AND typnamespace IN ('pg_catalog'::regnamespace, 'public'::regnamespace)
      LOOP
        EXECUTE 'CREATE ' || twin.definition;
      END LOOP;
    EXCEPTION WHEN insufficient_privilege THEN
      NULL;  -- Who has no right to temporary objects has none here.
    END $do$"""


def _names_of_their_own() -> None:
    pg.check(
        "a tenant's temporary types and views take no part in what others wrote",
        "SELECT pg_catalog.current_setting('sync_check.answer')",
        [("nothing ran",)],
        task=READINESS,
        needs=[
            *of(*SYNC_TABLES),
            *(f"table {table}" for table in TABLES),
            "function public.auto_cleanup_preview_cache()",
        ],
        disclosed=True,
        setup=[
            *TENANTS,
            *ROWS_OF_BOTH,
            "SELECT set_config('sync_check.answer', 'nothing ran', true)",
            _TRAPS,
            *as_tenant(USER_A),
            *(f"SELECT FROM {table}" for table in TABLES),
            "UPDATE public.sync_progress SET processed_count = 1, status = 'completed'",
            "SELECT public.auto_cleanup_preview_cache(), auth.current_user_id(),"
            " auth.current_org_id()",
        ],
    )
