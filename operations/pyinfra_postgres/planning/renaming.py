"""The renames that declarations ask for: which are to be done, and what stands against them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..catalog.catalog import Forecast
from ..catalog.entry import Key
from ..catalog.needs import usage
from ..catalog.renames import Rename, spoken
from ..plan.plan import Plan, Refusal
from ..syntax.parse import Reference
from .session import Item


def renamed(item: Item, catalog: Forecast, plan: Plan) -> Iterator[Rename]:
    """The renames that a declaration asks for and that are still to be done, done in the catalog.

    They come before all else: what remains to be changed is then found under the new names.
    """
    one = item.declaration
    closed = usage(one, catalog)
    for rename in one.renames(catalog) if item.present else ():
        if rename.old != rename.new:
            catalog.former.setdefault(rename.old, item.operation)
        if reason := _obstacle(rename, catalog):
            plan.refusals.append(Refusal(item.operation, one.title, reason))
        elif catalog.holds(rename.old, rename.whole) and closed:
            plan.lack(item.operation, one.title, closed)
        elif catalog.holds(rename.old, rename.whole):
            catalog.rename(rename)
            yield rename


def _obstacle(rename: Rename, catalog: Forecast) -> str:
    """Why something can't have another name."""
    old, new = spoken(rename.old), spoken(rename.new)
    if rename.old == rename.new:
        return f"its former name is the one that it has, {new}: leave renamed_from out"
    is_old, is_new = (catalog.holds(one, rename.whole) for one in (rename.old, rename.new))
    if not is_old:
        elsewhere = None if is_new else _elsewhere(rename, catalog)
        if elsewhere is None:
            return ""
        return (
            f"{old}, its former name, does not exist, but {spoken(elsewhere)} does: name its schema"
        )
    for known in catalog.declared.values():
        for operation, other, _ in known:
            if rename.old in other.names():
                return f"operation {operation!r} declares {old}, its former name, in the same run"
    if is_new:
        return (
            f"{old} and {new} are both there: move what is needed into {new} and drop {old}, or "
            "leave the former name out"
        )
    for _, name in rename.things:
        if isinstance(name, Reference) and name.kind in {"table", "type"} and catalog.has(name):
            return f"{old} can't become {new}: something else has that name"
    return ""


def _elsewhere(rename: Rename, catalog: Forecast) -> Key | None:
    """What has the former name in the schema of the new one, where that is another schema."""
    kind, schema, name = (*rename.old, "", "")[:3]
    here = (kind, rename.new[1], name, *rename.old[3:])
    return here if schema != rename.new[1] and catalog.holds(here) else None


def shown(renames: Sequence[Rename], catalog: Forecast) -> Iterator[str]:
    """What a person reads of renames: the names, and who still has the former ones."""
    for rename in renames:
        yield from rename.lines()
        for one in catalog.objects.values():
            if one.key() not in catalog.declared and rename.is_in(getattr(one, "body", None)):
                yield f"! {one.title} has the former name in its body, where PostgreSQL leaves it"
