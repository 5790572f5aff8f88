"""What the server says of the bound of a partition that does not exist yet.

It reads it beside the bounds of the other partitions, in temporary tables that are rolled back: so
nobody waits, and whatever PostgreSQL refuses is known before anything runs.
https://www.postgresql.org/docs/current/sql-createtable.html#SQL-CREATETABLE-PARTITION
"""

from __future__ import annotations

from collections.abc import Iterator

from ...catalog.catalog import Forecast
from ...comparison.asking import Ask
from ...errors import DeclarationError
from ...syntax.names import Exact, Name, literal, quoted
from ...syntax.paths import SearchPath

_COPY = "pyinfra_postgres_copy"
_REFUSED = ("22", "42P16", "42P17", "42601", "42703", "42804", "42846", "42883")
"""How the SQLSTATEs begin where a bound itself is wrong; else nobody knows."""


def condition(name: Name, of: Name, values: str, catalog: Forecast, ask: Ask) -> str:
    """What holds for the rows of a partition with a bound, as the server prints it; "" if unknown.

    Raises DeclarationError where the partitioned table can't have it.
    """
    whole = catalog.table(of)
    if whole is None or not whole.partition_by or of in catalog.created:
        return ""
    part = f"pg_temp.{quoted(name.name)}"
    script = [
        whole_path(whole.partition_by),
        f"CREATE TEMPORARY TABLE {_COPY} (LIKE {of}) PARTITION BY {whole.partition_by}",
        *_others(name, of, catalog),
        SearchPath.of(values).local,
        f"CREATE TEMPORARY TABLE {quoted(name.name)} PARTITION OF pg_temp.{_COPY} {values}",
    ]
    # The condition of a hash names the table.
    copy = f"quote_literal({literal(f'pg_temp.{_COPY}')}::regclass::oid::text) || '::oid'"
    printed = f"pg_get_partition_constraintdef({literal(part)}::regclass)"
    above = f"pg_get_partition_constraintdef({literal(str(of))}::regclass)"
    own = f"replace({printed}, {copy}, {literal(f'{literal(str(of))}::regclass')})"
    query = f"SELECT to_json(concat_ws(' AND ', {own}, {above}))"
    answer = ask.attempt([*script, SearchPath.OWN.local, query])
    if answer.failure is None:
        return str(answer.values()[-1] or "")
    if answer.failure.index == len(script) - 1 and answer.failure.sqlstate.startswith(_REFUSED):
        raise DeclarationError(f"PostgreSQL refuses its bound: {answer.failure}")
    return ""


def whole_path(text: str) -> str:
    """Sets the search path under which a text is read."""
    return SearchPath.of(text).local


def _others(name: Name, of: Name, catalog: Forecast) -> Iterator[str]:
    """Temporary tables with the bounds of the other partitions."""
    for one in catalog.on(of):
        other = Name(*one.key()[1:3])
        if one.kind != "partition" or other == name:
            continue
        bound: str = getattr(one, "bound", "")
        # What the plan creates has the bound as a user wrote it.
        yield whole_path(bound if other in catalog.created else Exact(bound))
        yield f"CREATE TEMPORARY TABLE {quoted(other.name)} PARTITION OF pg_temp.{_COPY} {bound}"
