"""PostgreSQL objects as pyinfra operations.

    import pyinfra_postgres as pg

Each operation declares one object, compares it with the server's catalog and changes only what
differs. The layers, each using only those above it:

    names, naming, parse, acl      SQL's names, types and expressions; pure
    plan, kind                     statements, changes, plans; what kinds have in common; pure
    command, connector             SQL as a pyinfra command; databases as pyinfra hosts
    catalog, compare               the catalog in one round trip; exact comparison
    rollout, render, converge      running, showing and making plans
    objects                        one file per kind: declaration, query, diff, operation
"""

from .converge import transaction
from .objects.columns import Column
from .objects.constraints import Check, ForeignKey, PrimaryKey, Unique
from .objects.enums import Enum, enum
from .objects.extensions import Extension, extension
from .objects.functions import Function, function
from .objects.grants import Grant, grant
from .objects.indexes import Index, index
from .objects.partitions import Partitions, partitions
from .objects.policies import Policy, policy
from .objects.roles import Role, role
from .objects.rows import Rows, rows
from .objects.schemas import Schema, schema
from .objects.several import objects
from .objects.sql import Script, sql
from .objects.tables import Table, table
from .objects.triggers import Trigger, trigger
from .values import SQL
from .verification import check, verification

__all__ = [
    "SQL",
    "Check",
    "Column",
    "Enum",
    "Extension",
    "ForeignKey",
    "Function",
    "Grant",
    "Index",
    "Partitions",
    "Policy",
    "PrimaryKey",
    "Role",
    "Rows",
    "Schema",
    "Script",
    "Table",
    "Trigger",
    "Unique",
    "check",
    "enum",
    "extension",
    "function",
    "grant",
    "index",
    "objects",
    "partitions",
    "policy",
    "role",
    "rows",
    "schema",
    "sql",
    "table",
    "transaction",
    "trigger",
    "verification",
]
