"""Every text of an object is known to follow a rename, or to name nothing that is renamed."""

from __future__ import annotations

import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import attrs
import pytest

from pyinfra_postgres.catalog import renames
from pyinfra_postgres.objects.kind import Object

BY_NAME = {
    "elements", "foreign_columns", "index", "labels", "name", "not_null", "schema", "schemas",
    "when",
}  # fmt: skip
"""What `followed` knows by the field's name."""
DECLARED = {
    "bounds", "exact", "every", "fragments", "in_schema", "key_column", "key_columns", "key_type",
    "kinds", "lists", "on", "other", "references", "renamed", "renamed_columns", "renamed_from",
    "replaced", "statements", "strategy", "to", "unless", "values",
}  # fmt: skip
"""What only declarations have, which are written with the new names."""
OF_A_CHANGE = {
    "above", "after", "analyzed", "base", "base_id", "becomes", "before", "bound_check",
    "bound_rule", "changed", "checked", "definition", "differing", "equality", "id", "kept", "key",
    "left", "marks", "needs", "obstacle", "of", "part", "passing", "predecessor", "problem",
    "rechecked", "relations", "rewriting", "source", "successor", "taken", "type_id", "types",
    "unknown", "views", "whole",
}  # fmt: skip
"""What a change that is being planned knows, behind the renames of its plan."""
WORDS = {
    "check_option", "class_options", "command", "compression", "enabled", "for_each", "identity",
    "kind", "language", "method", "mode", "on_delete", "on_update", "parallel", "parameters",
    "publish", "publish_generated_columns", "relkind", "settings", "storage",
    "usual_storage", "version", "volatility",
}  # fmt: skip
"""Words of PostgreSQL's, and parameters."""
NOT_RENAMED = {
    "class_schema", "collation", "creator", "default_class", "default_class_schema",
    "default_collation", "for_role", "grantee", "grantors", "operator_class", "owned_by", "owner",
    "passed_on", "privileges", "referencing", "role", "roles", "tablespace",
}  # fmt: skip
"""Names of what is not renamed here: roles, operator classes, collations, tablespaces."""
REMARKS = {"comment", "remark", "text", "title"}


def classes() -> Iterator[type[Any]]:
    """The values of which objects are made."""
    package = sys.modules[Object.__module__.rpartition(".")[0]]
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        for one in vars(import_module(found.name)).values():
            is_own = inspect.isclass(one) and one.__module__ == found.name
            if is_own and (attrs.has(one) or hasattr(one, "_fields")):
                yield one


def texts(one: type[Any]) -> Iterator[str]:
    """The fields of a class that hold text."""
    types = {field.name: field.type for field in attrs.fields(one)} if attrs.has(one) else {}
    for name, type_ in (types or one.__annotations__).items():
        if re.search(r"\b(str|Exact)\b", str(type_)):
            yield name


@pytest.mark.parametrize("one", [*classes()], ids=lambda one: one.__name__)
def test_each_field_is_visited_or_names_nothing(one: type[Any]) -> None:
    visited = {*renames._FORMS, *renames._COLUMNS, *BY_NAME}
    known = visited | DECLARED | OF_A_CHANGE | WORDS | NOT_RENAMED | REMARKS
    assert {*texts(one)} - known == set()


def test_no_field_is_listed_that_no_class_has() -> None:
    listed = BY_NAME | DECLARED | OF_A_CHANGE | WORDS | NOT_RENAMED | REMARKS
    assert listed - {name for one in classes() for name in texts(one)} <= {"elements"}
