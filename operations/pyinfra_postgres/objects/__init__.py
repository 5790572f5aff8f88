"""The kinds of objects, one file each: declaration, catalog query, diff and operation."""

from __future__ import annotations

from ..catalog import snapshot
from .access import default_privileges, object_privileges, policies, roles
from .code import stored_functions, triggers, views
from .indexes import stored_indexes
from .partitions import partitions
from .server import extensions, publications, schemas
from .tables import sequences, statistics, stored_tables
from .types import composites, enums, range_types, stored_domains

# In the order in which they need one another's names.
snapshot.register(
    roles,
    schemas,
    extensions,
    enums,
    stored_domains,
    composites,
    range_types,
    stored_tables,
    sequences,
    partitions,
    stored_indexes,
    statistics,
    views,
    stored_functions,
    triggers,
    policies,
    publications,
    object_privileges,
    default_privileges,
)
