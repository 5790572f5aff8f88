"""What can be declared as a value, and the operation that declares the same by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from pyinfra.api.operation import OperationMeta

from ..objects.access.default_privileges import DefaultPrivileges
from ..objects.access.grants import Grant
from ..objects.access.policies import Policy
from ..objects.access.roles import Role
from ..objects.code.functions import Function, Procedure
from ..objects.code.triggers import Trigger
from ..objects.code.views import MaterializedView, View
from ..objects.data.backfills import Backfill
from ..objects.data.rows import Rows
from ..objects.data.sql import Script
from ..objects.indexes.indexes import Index
from ..objects.kind import Object
from ..objects.partitions.partition import AnyPartition
from ..objects.partitions.partitions import Partitions
from ..objects.server.extensions import Extension
from ..objects.server.publications import Publication
from ..objects.server.schemas import Schema
from ..objects.tables.sequences import Sequence
from ..objects.tables.statistics import Statistics
from ..objects.tables.tables import Table
from ..objects.types.composites import Composite
from ..objects.types.domains import Domain
from ..objects.types.enums import Enum
from ..objects.types.range_types import RangeType
from ..syntax import given
from .backfills import backfill
from .composites import composite
from .default_privileges import default_privileges
from .domains import domain
from .enums import enum
from .extensions import extension
from .functions import function
from .grants import grant
from .indexes import index
from .partition import partition
from .partitions import partitions
from .policies import policy
from .publications import publication
from .range_types import range_type
from .roles import role
from .rows import rows
from .schemas import schema
from .sequences import sequence
from .sql import sql
from .statistics import statistics
from .tables import table
from .triggers import trigger
from .views import materialized_view, view

OPERATIONS: dict[type[Object], Callable[..., OperationMeta]] = {
    Backfill: backfill,
    Composite: composite,
    DefaultPrivileges: default_privileges,
    Domain: domain,
    Enum: enum,
    Extension: extension,
    Function: function,
    Grant: grant,
    Index: index,
    MaterializedView: materialized_view,
    AnyPartition: partition,
    Partitions: partitions,
    Policy: policy,
    Procedure: function,
    Publication: publication,
    RangeType: range_type,
    Role: role,
    Rows: rows,
    Schema: schema,
    Script: sql,
    Sequence: sequence,
    Statistics: statistics,
    Table: table,
    Trigger: trigger,
    View: view,
}


def check_declaration(one: object) -> None:
    """Raise DeclarationError where it is none."""
    if type(one) not in OPERATIONS:
        raise given.refused("one of pg.objects()", "a declaration like pg.Table(...)", one)
    declaration = cast(Object, one)
    given.check_plain(declaration.title, declaration)
