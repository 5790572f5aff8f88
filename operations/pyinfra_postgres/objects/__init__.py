"""The kinds of objects, one file each: declaration, catalog query, diff and operation."""

from __future__ import annotations

from .. import catalog
from . import (
    enums,
    extensions,
    functions,
    grants,
    indexes,
    partitions,
    policies,
    roles,
    schemas,
    tables,
    triggers,
)

# In the order in which they need one another's names.
catalog.register(
    roles,
    schemas,
    extensions,
    enums,
    tables,
    partitions,
    indexes,
    functions,
    triggers,
    policies,
    grants,
)
