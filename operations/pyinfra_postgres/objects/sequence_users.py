"""What uses a sequence by its name."""

from __future__ import annotations

import re
from typing import Any

from ..catalog.catalog import Forecast
from ..comparison.asking import Ask
from ..syntax.names import Name
from .dependents import Dependent, of_relation


def users(
    name: Name, catalog: Forecast, ask: Ask, but: tuple[Name, str] | None = None
) -> list[str]:
    """What uses a sequence, and will when the plan has run, apart from one column of a table."""
    found = of_relation(name, catalog, ask)
    defaults = [one for one in found.of_kind("default") if _still_uses(one, name, catalog, but)]
    others = [
        one
        for one in found.all
        if one.kind not in {"default", "row", "array"} and not one.root
        if one.key not in catalog.changed
    ]
    return [one.title for one in (*defaults, *others)]


def _still_uses(
    one: Dependent, name: Name, catalog: Forecast, but: tuple[Name, str] | None
) -> bool:
    schema, table, column = one.facts[:3]
    if (Name(schema, table), column) == but:
        return False
    stored: Any = catalog.objects.get(("table", schema, table))
    columns = stored.columns or () if stored else ()
    return any(each.name == column and is_named(name, each.default) for each in columns)


def is_named(sequence: Name, default: str | None) -> bool:
    """Whether the default of a column has the name of a sequence."""
    return bool(default and re.search(rf"(?<!\w){re.escape(sequence.name)}(?!\w)", default))
