"""The kinds of objects, one file each: declaration, catalog query, diff and operation."""

from __future__ import annotations

from .. import catalog
from . import (
    domains,
    enums,
    extensions,
    functions,
    grants,
    indexes,
    partitions,
    policies,
    roles,
    schemas,
    sequences,
    statistics,
    tables,
    triggers,
    views,
)

# In the order in which they need one another's names.
catalog.register(
    roles,
    schemas,
    extensions,
    enums,
    domains,
    tables,
    sequences,
    partitions,
    indexes,
    statistics,
    views,
    functions,
    triggers,
    policies,
    grants,
)
