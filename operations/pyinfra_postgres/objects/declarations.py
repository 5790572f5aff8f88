"""What can be declared as a value, and the operation that declares the same by itself."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cache
from inspect import signature
from typing import Any, cast

from attrs import fields
from pyinfra.api.operation import OperationMeta

from .. import given
from ..kind import Object
from .composites import Composite, composite
from .default_privileges import DefaultPrivileges, default_privileges
from .domains import Domain, domain
from .enums import Enum, enum
from .extensions import Extension, extension
from .functions import Function, Procedure, function
from .grants import Grant, grant
from .indexes import Index, index
from .partition import AnyPartition, partition
from .partitions import Partitions, partitions
from .policies import Policy, policy
from .publications import Publication, publication
from .range_types import RangeType, range_type
from .roles import Role, role
from .rows import Rows, rows
from .schemas import Schema, schema
from .sequences import Sequence, sequence
from .sql import Script, sql
from .statistics import Statistics, statistics
from .table_definition import table
from .tables import Table
from .triggers import Trigger, trigger
from .views import MaterializedView, View, materialized_view, view

OPERATIONS: dict[type[Object], Callable[..., OperationMeta]] = {
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

_KINDS: tuple[type[Object], ...] = (Schema, Table, *OPERATIONS)
WORDS = tuple(dict.fromkeys(word for kind in _KINDS for word in kind.holds))
"""The words of `exact=`, in the order in which people read them."""


def check_declaration(one: object) -> None:
    """Raise DeclarationError where it is none, or has what is no argument of its operation."""
    if type(one) not in OPERATIONS:
        raise given.refused("one of pg.objects()", "a declaration like pg.Table(...)", one)
    declaration = cast(Object, one)
    given.check_plain(declaration.title, declaration)
    given.check_untold(declaration.title, declaration, _untold(cast(Hashable, type(one))))


@cache
def _untold(declaration: Any) -> frozenset[str]:
    """The attributes of a declaration that are no arguments: only a catalog tells them."""
    # The first is called after the operation; what is absent is told by its parts.
    others = [one for one in fields(declaration)[1:] if one.name != "absent"]
    arguments = signature(OPERATIONS[declaration]).parameters
    return frozenset(one.name for one in others if one.alias not in arguments)
