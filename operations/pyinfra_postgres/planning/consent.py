"""What statements would lose, lock or not see, and whether the run allows it by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

from attrs import evolve

from ..catalog.catalog import Forecast
from ..comparison.asking import Ask
from ..comparison.stored import TABLES_ONLY, under
from ..errors import HiddenRowsError, HostError
from ..objects.kind import Object, guard
from ..plan.plan import Hazard, Loss, Objection, Statement
from ..syntax.names import Name, quoted
from .session import ALLOW, Session

_LOOKS = (Hazard.SCANS, Hazard.BLOCKS_READS)


def weighed(statements: Iterable[Statement], catalog: Forecast, ask: Ask) -> Iterator[Statement]:
    """The statements with what they lose; what would lose nothing yet is seen to do so."""
    for one in statements:
        losses = [_counted(loss, catalog, ask) for loss in one.losses]
        for loss in losses:
            if not loss.told:
                message = f"{loss.title} has {loss.unit}s by now that would be lost"
                rows = guard(f"SELECT FROM {loss.rows}", message, loss.relation, loss.path)
                # Without a condition the first row would do.
                reads = loss.condition and loss.relation in catalog.filled
                yield evolve(rows, takes=one.takes, hazards=_LOOKS if reads else ())
        yield evolve(one, losses=tuple(loss for loss in losses if loss.told)) if losses else one


def _counted(loss: Loss, catalog: Forecast, ask: Ask) -> Loss:
    """With how much is lost."""
    if loss.told is None and catalog.glimpse_of:
        return evolve(loss, told=f"the {loss.unit}s that there are")
    table = catalog.table(loss.relation)
    # Forced row security hides rows from the table's owner.
    empty = table and loss.relation not in catalog.filled and not table.force_row_security
    if loss.told is not None or empty:
        return evolve(loss, told=loss.told or "")
    try:
        (count,) = ask(
            TABLES_ONLY + under(loss.path, f"SELECT pg_catalog.count(*) FROM {loss.rows}")
        )
    except (HostError, HiddenRowsError) as error:
        return evolve(loss, told=f"{loss.unit}s, which can't be counted: {error}")
    return evolve(loss, told=f"{count} {loss.unit}{'s' if count > 1 else ''}" if count else "")


def unseen(statements: Iterable[Statement], catalog: Forecast) -> Iterator[str]:
    """Why statements would fail on rows that row security hides from the role.

    Before they run, the catalog has to be as it will be then.
    """
    for one in statements:
        hidden = [table for table in _with_leaves(one.sees, catalog) if catalog.hides(table)]
        if hidden:
            tables, role = ", ".join(map(str, hidden)), quoted(catalog.role)
            yield str(
                HiddenRowsError(
                    f"{one.shown} reads all of {tables}, whose row level "
                    f"security filters what role {role} reads"
                )
            )


def _with_leaves(tables: Iterable[Name], catalog: Forecast) -> Iterator[Name]:
    for table in tables:
        yield table
        yield from catalog.leaves(table) if catalog.relation_kinds.get(table) == "p" else ()


def unallowed(
    statements: Iterable[Statement], one: Object, session: Session, catalog: Forecast
) -> Iterator[str]:
    """What statements need permission for and the run does not allow by name."""
    found: dict[tuple[tuple[str, str], ...], list[Statement]] = {}
    for statement in statements:
        risks = statement.risks(one.title)
        allowed = session.allowed()
        needed = tuple(risk for risk in risks if not is_allowed(risk[0], allowed, catalog))
        if needed:
            found.setdefault(needed, []).append(statement)
    for needed, alike in found.items():
        others = f", and {len(alike) - 1} more," if alike[1:] else ""
        whats = ", and ".join(what for _, what in needed)
        instead = next((f"; {each.instead}" for each in alike if each.instead), "")
        names = ",".join(dict.fromkeys(title.partition(" ")[2] for title, _ in needed))
        yield (
            f"{alike[0].shown}{others} {whats}{instead}; to allow it, run with "
            f"--data '{ALLOW}={names}'"
        )


_PATIENCE = "SET LOCAL statement_timeout = '10s';\n"
"""How long rows are read before the change is tried without knowing."""


def contradicted(one: Objection, ask: Ask) -> Iterator[str]:
    """What rows say against a change, as far as the server can tell beforehand."""
    try:
        (count,) = ask(_PATIENCE + TABLES_ONLY + under(one.path, one.query))
    except HostError:
        return
    except HiddenRowsError as error:
        yield f"{one.rule}: {error}"
        return
    if count:
        rows = f"{count} row{'s' if count > 1 else ''}"
        yield f"{one.rule} does not hold for {rows}{one.detail}: {one.remedy}"


def left_open(
    one: Object, current: Object | None, session: Session, catalog: Forecast
) -> Iterator[str]:
    """How others could make use of what is declared, where the run does not allow it by name."""
    title = f"{one.kind} {getattr(one, 'name', '')}"
    for opening in one.openings(current, catalog):
        if not is_allowed(title, session.allowed(), catalog):
            yield f"{opening}; to allow it, run with --data '{ALLOW}={title}'"


def is_allowed(title: str, allowed: AbstractSet[str], catalog: Forecast) -> bool:
    """Whether names have it, with or without its kind and the schema `public`."""
    if not allowed:
        return False
    kind, _, name = title.partition(" ")
    short = name.removeprefix("public.")
    names = {name, title, f"{kind} {short}"}
    # A column's may be the name of a relation in another schema.
    if short not in map(str, catalog.relation_kinds):
        names.add(short)
    return not names.isdisjoint(allowed)
