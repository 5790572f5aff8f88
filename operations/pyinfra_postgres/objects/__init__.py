"""The kinds of objects, one file each: declaration, catalog query, diff and operation."""

from __future__ import annotations

from .. import snapshot
from . import (
    composites,
    default_privileges,
    domains,
    enums,
    extensions,
    functions,
    grants,
    partitions,
    policies,
    publications,
    range_types,
    roles,
    schemas,
    sequences,
    statistics,
    stored_indexes,
    stored_tables,
    triggers,
    views,
)

# In the order in which they need one another's names.
snapshot.register(
    roles,
    schemas,
    extensions,
    enums,
    domains,
    composites,
    range_types,
    stored_tables,
    sequences,
    partitions,
    stored_indexes,
    statistics,
    views,
    functions,
    triggers,
    policies,
    publications,
    grants,
    default_privileges,
)
