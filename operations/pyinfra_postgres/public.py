"""The package's public names, which `pyinfra_postgres` takes from here when one is used."""

from .objects.access.default_privileges import DefaultPrivileges
from .objects.access.grants import Grant
from .objects.access.policies import Policy
from .objects.access.roles import Membership, Role
from .objects.code.functions import Function, Procedure
from .objects.code.triggers import Trigger
from .objects.code.views import MaterializedView, View
from .objects.constraints.constraints import (
    Check,
    Constraint,
    Exclude,
    ForeignKey,
    NotNull,
    PrimaryKey,
    Unique,
)
from .objects.data.backfills import Backfill
from .objects.data.rows import Rows
from .objects.data.sql import Script
from .objects.indexes.indexes import Index
from .objects.partitions.partition import AnyPartition as Partition
from .objects.partitions.partitions import Partitions
from .objects.server.extensions import Extension
from .objects.server.publications import Publication
from .objects.server.schemas import Schema
from .objects.tables.columns import Column
from .objects.tables.sequences import Sequence
from .objects.tables.statistics import Statistics
from .objects.tables.tables import Table
from .objects.types.composites import Attribute, Composite
from .objects.types.domains import Domain
from .objects.types.enums import Enum
from .objects.types.range_types import RangeType
from .operations.backfills import backfill
from .operations.composites import composite
from .operations.default_privileges import default_privileges
from .operations.domains import domain
from .operations.enums import enum
from .operations.extensions import extension
from .operations.functions import function
from .operations.grants import grant
from .operations.indexes import index
from .operations.partition import partition
from .operations.partitions import partitions
from .operations.policies import policy
from .operations.publications import publication
from .operations.range_types import range_type
from .operations.roles import role
from .operations.rows import rows
from .operations.schemas import schema
from .operations.sequences import sequence
from .operations.several import objects
from .operations.sql import sql
from .operations.statistics import statistics
from .operations.tables import table
from .operations.transactions import transaction
from .operations.triggers import trigger
from .operations.views import materialized_view, view
from .reports.advice import Accepted
from .reports.verification import check, verification
from .syntax.values import SQL

__all__ = [
    "SQL",
    "Accepted",
    "Attribute",
    "Backfill",
    "Check",
    "Column",
    "Composite",
    "Constraint",
    "DefaultPrivileges",
    "Domain",
    "Enum",
    "Exclude",
    "Extension",
    "ForeignKey",
    "Function",
    "Grant",
    "Index",
    "MaterializedView",
    "Membership",
    "NotNull",
    "Partition",
    "Partitions",
    "Policy",
    "PrimaryKey",
    "Procedure",
    "Publication",
    "RangeType",
    "Role",
    "Rows",
    "Schema",
    "Script",
    "Sequence",
    "Statistics",
    "Table",
    "Trigger",
    "Unique",
    "View",
    "backfill",
    "check",
    "composite",
    "default_privileges",
    "domain",
    "enum",
    "extension",
    "function",
    "grant",
    "index",
    "materialized_view",
    "objects",
    "partition",
    "partitions",
    "policy",
    "publication",
    "range_type",
    "role",
    "rows",
    "schema",
    "sequence",
    "sql",
    "statistics",
    "table",
    "transaction",
    "trigger",
    "verification",
    "view",
]
