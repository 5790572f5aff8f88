"""What uses a sequence by its name."""

from __future__ import annotations

import re

from ..catalog.catalog import Forecast
from ..comparison.asking import Ask
from ..syntax.names import Name
from .dependents import of_relation
from .tables.dependents import DependentDefault


def users(
    name: Name, catalog: Forecast, ask: Ask, but: tuple[Name, str] | None = None
) -> list[str]:
    """What uses a sequence, and will when the plan has run, apart from one column of a table."""
    found = of_relation(name, catalog, ask)
    defaults = found.of(DependentDefault)
    used = [one for one in defaults if _still_uses(one, name, catalog, but)]
    others = [
        one
        for one in found.all
        if not (one.root or one.is_inner or one in defaults)
        if one.key not in catalog.changed
    ]
    return [one.title for one in (*used, *others)]


def _still_uses(
    one: DependentDefault, name: Name, catalog: Forecast, but: tuple[Name, str] | None
) -> bool:
    if (one.whole, one.part) == but:
        return False
    stored = one.stored(catalog)
    columns = stored.columns or () if stored else ()
    return any(each.name == one.part and is_named(name, each.default) for each in columns)


def is_named(sequence: Name, default: str | None) -> bool:
    """Whether the default of a column has the name of a sequence."""
    return bool(default and re.search(rf"(?<!\w){re.escape(sequence.name)}(?!\w)", default))
