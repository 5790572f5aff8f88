"""What a tenant can reach: its own organization, and nothing else.

The application connects as a role of its own, takes the role `authenticated` and sets
`app.current_user_id`. It is trusted to set the right user; row security sees to the rest:

- Nothing is visible without an active user of an active organization.
- What the policies rely on (whose user it is, who is active) is not writable by those they
  restrain, unless the inventory asks for the seed documents' literal behaviour.
- The owner of the tables administers them and is not restrained.
"""

from typing import NamedTuple

from pyinfra import host
from pyinfra.api import deploy

import pyinfra_postgres as pg

from .access import TENANT_ROLE, grant_function, grant_table
from .functions import SEARCH_PATH, function_body
from .settings import settings

# A statement can't be written out: it would have to name the database.
_NO_TEMPORARY = """DO $$
    BEGIN
      EXECUTE pg_catalog.format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC',
                                pg_catalog.current_database());
    END $$"""
_PUBLIC_TEMPORARY = """
    SELECT EXISTS (
      SELECT FROM pg_catalog.pg_database, pg_catalog.aclexplode(
          coalesce(datacl, pg_catalog.acldefault('d', datdba))) AS granted
      WHERE datname = pg_catalog.current_database() AND grantee = 0
        AND privilege_type = 'TEMPORARY' AND pg_catalog.pg_has_role(datdba, 'USAGE'))"""

# In a SELECT of its own each is evaluated once per statement, not per row.
CURRENT_USER = "(SELECT auth.current_user_id())"
CURRENT_ORG = "(SELECT auth.current_org_id())"
OWN_ORG = f"org_id = {CURRENT_ORG}"


class Policy(NamedTuple):
    """A policy for tenants; `using` and `check` as in CREATE POLICY."""

    name: str
    table: str
    command: str
    using: str | None = None
    check: str | None = None


# The checks on updates pin each column that decides who belongs where. The functions read the
# table as it was before the statement, so a row cannot vouch for itself.
IDENTITY_POLICIES = (
    Policy("organization_select", "organization", "SELECT", using=f"id = {CURRENT_ORG}"),
    Policy(
        "organization_update",
        "organization",
        "UPDATE",
        using=f"id = {CURRENT_ORG}",
        check=f"id = {CURRENT_ORG} AND is_active",
    ),
    Policy("users_extended_select", "auth.users_extended", "SELECT", using=OWN_ORG),
    Policy(
        "users_extended_update",
        "auth.users_extended",
        "UPDATE",
        using=f"id = {CURRENT_USER} AND {OWN_ORG}",
        check=f"id = {CURRENT_USER} AND {OWN_ORG} AND is_active",
    ),
)

# Tenants set up schedules and put jobs into the queue; workers do what follows. All tenants share
# the queue: nobody gets before the others with a higher priority, or with a job that has long been
# due.
_IN_TURN = "priority >= 5"
_NOT_BEFORE = "run_at >= pg_catalog.now()"
INFRASTRUCTURE_POLICIES = (
    Policy("sync_retry_policy_tenant", "sync_retry_policy", "ALL", OWN_ORG, OWN_ORG),
    Policy("sync_schedule_tenant", "sync_schedule", "ALL", OWN_ORG, f"{OWN_ORG} AND {_IN_TURN}"),
    Policy("sync_job_queue_select", "sync_job_queue", "SELECT", using=OWN_ORG),
    Policy(
        "sync_job_queue_insert",
        "sync_job_queue",
        "INSERT",
        check=f"{OWN_ORG} AND status = 'queued' AND attempts = 0 AND {_IN_TURN} AND {_NOT_BEFORE}",
    ),
    Policy("sync_error_log_select", "sync_error_log", "SELECT", using=OWN_ORG),
)

INFRASTRUCTURE_TABLES = ("sync_retry_policy", "sync_schedule", "sync_job_queue", "sync_error_log")


@deploy("Isolation | Who is asking")
def tenant_functions() -> None:
    """The functions by which policies know the user and the organization."""
    pg.function(
        "auth.current_user_id",
        arguments="",
        returns="uuid",
        language="sql",
        body=function_body("auth.current_user_id"),
        volatility="STABLE",
        parallel="SAFE",
        settings={"search_path": SEARCH_PATH},
        comment="The user for whom the session works; NULL if the setting names none.",
    )
    pg.function(
        "auth.current_org_id",
        arguments="",
        returns="uuid",
        language="sql",
        body=function_body("auth.current_org_id"),
        volatility="STABLE",
        parallel="SAFE",
        security_definer=True,
        settings={"search_path": SEARCH_PATH},
        comment="The organization of the current user; NULL unless both are active.",
    )
    for function in host.loop(["auth.current_user_id()", "auth.current_org_id()"]):
        grant_function(function)


@deploy("Isolation | Organizations and users")
def identity_isolation() -> None:
    """Close organizations and users to other tenants, or leave them as open as the seeds do."""
    strict = settings().isolation == "strict"
    for policy in host.loop(IDENTITY_POLICIES):
        tenant_policy(policy, present=strict)
    for table in host.loop(["organization", "auth.users_extended"]):
        pg.table(table, row_security=strict)


@deploy("Isolation | Sync infrastructure")
def infrastructure_isolation() -> None:
    """Let tenants reach their own part of the tables of 0023."""
    for policy in host.loop(INFRASTRUCTURE_POLICIES):
        tenant_policy(policy)
    for table in host.loop(INFRASTRUCTURE_TABLES):
        pg.table(table, row_security=True)
        grant_table(f"public.{table}")


@deploy("Isolation | Database")
def database_isolation() -> None:
    """Take the right to temporary objects from everybody but the owner, where the role may.

    Where the role does not own the database it stays; `verify.py` says so.
    """
    pg.sql(
        _NO_TEMPORARY,
        unless=f"SELECT NOT ({_PUBLIC_TEMPORARY})",
        name="revoke TEMPORARY on the database from PUBLIC",
    )


def tenant_policy(policy: Policy, present: bool = True) -> None:
    """Declare a policy for the role of the tenants."""
    pg.policy(
        policy.name,
        policy.table,
        command=policy.command,
        roles=[TENANT_ROLE],
        using=policy.using,
        check=policy.check,
        present=present,
    )
