"""The package's public names, which `pyinfra_postgres` takes from here when one is used."""

from .objects.columns import Column
from .objects.composites import Attribute, Composite, composite
from .objects.constraints import Check, Constraint, Exclude, ForeignKey, PrimaryKey, Unique
from .objects.default_privileges import DefaultPrivileges, default_privileges
from .objects.domains import Domain, domain
from .objects.enums import Enum, enum
from .objects.extensions import Extension, extension
from .objects.functions import Function, Procedure, function
from .objects.grants import Grant, grant
from .objects.indexes import Index, index
from .objects.partition import AnyPartition as Partition
from .objects.partition import partition
from .objects.partitions import Partitions, partitions
from .objects.policies import Policy, policy
from .objects.publications import Publication, publication
from .objects.range_types import RangeType, range_type
from .objects.roles import Membership, Role, role
from .objects.rows import Rows, rows
from .objects.schemas import Schema, schema
from .objects.sequences import Sequence, sequence
from .objects.several import objects
from .objects.sql import Script, sql
from .objects.statistics import Statistics, statistics
from .objects.table_definition import table
from .objects.tables import Table
from .objects.triggers import Trigger, trigger
from .objects.views import MaterializedView, View, materialized_view, view
from .transactions import transaction
from .values import SQL
from .verification import check, verification

__all__ = [
    "SQL",
    "Attribute",
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
