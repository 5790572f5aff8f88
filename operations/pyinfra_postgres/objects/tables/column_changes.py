"""How columns of a table that exists are changed.

https://www.postgresql.org/docs/current/sql-altertable.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Self

from attrs import evolve, field, frozen

from ...errors import DeclarationError
from ...plan.order import rows_of
from ...plan.plan import Hazard, Lock, Statement, together
from ...syntax.names import (
    Exact,
    Name,
    literal,
    quoted,
)
from ...syntax.naming import chosen_name
from ...syntax.parse import (
    closed,
    tree,
)
from ...syntax.paths import SearchPath
from ..constraints.constraints import Check, Constraint
from ..constraints.validation import in_passing, validated
from .columns import TableColumn, default_sql


def changed(
    table: Name,
    current: TableColumn,
    declared: TableColumn,
    filled: bool,
    names: Names,
    ordered: bool = False,
) -> Iterator[Statement]:
    """The statements that turn one column into another of the same name.

    `ordered` is whether an index tells the greatest value.
    """
    if current is declared:
        return
    alter = f"ALTER TABLE {table} ALTER COLUMN {quoted(declared.name)}"
    computed = (current.generated, current.virtual) != (declared.generated, declared.virtual)
    if computed and not _stops_computing(current, declared):
        yield _regenerated(alter, table, current, declared, filled, names.version)
    if not declared.nullable:
        yield from _strict(table, current, declared, filled, names)
    if declared.identity and current.identity != declared.identity:
        yield from _identified(alter, table, current, declared, filled and not ordered)
    if declared.identity is None and current.default != declared.default:
        if declared.default is None:
            yield Statement(f"{alter} DROP DEFAULT", locks=table)
        else:
            text = f"{alter} SET DEFAULT {default_sql(declared.default)}"
            yield Statement(text, path=SearchPath.of(declared.default), locks=table)
    if declared.nullable and not current.nullable:
        yield Statement(f"{alter} DROP NOT NULL", locks=table)
    yield from declared.beside(table, current)


def _strict(
    table: Name, current: TableColumn, declared: TableColumn, filled: bool, names: Names
) -> Iterator[Statement]:
    """Have a column take no nulls, as it is declared."""
    if current.nullable:
        at_once = _ruled(table, declared, names.not_null(table, declared))
        if not filled and not declared.unvalidated:
            yield at_once
        elif declared.identity != current.identity:
            yield evolve(
                at_once,
                hazards=(Hazard.LOCKS_OUT,),
                instead="an identity needs that at once: a run before this one can declare it "
                "NOT NULL alone, which reads the rows after the transaction",
            )
        elif names.version >= 180000:
            name = declared.not_null or chosen_name(
                table.name, declared.name, "not_null", names.taken
            )
            yield _ruled(table, declared, name, " NOT VALID")
            if not declared.unvalidated:
                yield validated(table, name)
        else:
            yield from _filled_in(table, declared.name, names)
    else:
        before, after = current.not_null_of(table), declared.not_null_of(table)
        if before != after:
            rename = f"RENAME CONSTRAINT {quoted(before)} TO {quoted(after)}"
            yield Statement(f"ALTER TABLE {table} {rename}", locks=table)
        if current.unvalidated and not declared.unvalidated:
            yield validated(table, after)


def _ruled(table: Name, column: TableColumn, name: str | None, how: str = "") -> Statement:
    """Add the NOT NULL of a column, with a name where it needs one."""
    if name is None:
        change = f"ALTER COLUMN {quoted(column.name)} SET NOT NULL"
    else:
        change = f"ADD CONSTRAINT {quoted(name)} NOT NULL {quoted(column.name)}{how}"
    needs = frozenset({rows_of(table)} if how else ())
    return Statement(f"ALTER TABLE {table} {change}", locks=table, needs=needs)


def regenerated(current: Iterable[TableColumn], declared: Iterable[TableColumn]) -> list[Exact]:
    """The names of the columns that are computed otherwise."""
    there = {column.name: column for column in current}
    return [
        column.name
        for column in declared
        if column.generated is not None
        and column.name in there
        and column.generated != there[column.name].generated
    ]


def freed(current: Iterable[TableColumn], declared: Iterable[TableColumn]) -> set[str]:
    """The names of the columns that are to take nulls and do not yet."""
    strict = {column.name for column in current if not column.nullable}
    return {column.name for column in declared if column.nullable and column.name in strict}


def released(table: Name, current: TableColumn, declared: TableColumn) -> Iterator[Statement]:
    """The statements that end what a column of another type may not be; its values stay."""
    alter = f"ALTER TABLE {table} ALTER COLUMN {quoted(declared.name)}"
    if _stops_computing(current, declared):
        yield Statement(f"{alter} DROP EXPRESSION", locks=table)
    if current.identity and not declared.identity:
        yield Statement(f"{alter} DROP IDENTITY", locks=table)


def _stops_computing(current: TableColumn, declared: TableColumn) -> bool:
    return bool(current.generated and not current.virtual and declared.generated is None)


@frozen
class Names:
    """What the constraints of a table are called, and what follows for the rules of its columns."""

    version: int
    """The server's, like 170002."""
    taken: frozenset[str | None] = frozenset()
    """The names that constraints have, or are to have."""
    passing: Mapping[str, Check] = field(factory=dict)
    """The checks by which an interrupted run has begun to take nulls away, by their columns."""

    @classmethod
    def of(
        cls, version: int, constraints: Iterable[Constraint], columns: Iterable[TableColumn] = ()
    ) -> Self:
        """Of all constraints, and the NOT NULLs of columns."""
        every = tuple(constraints)
        checks = {
            rules_out_nulls(one): one
            for one in every
            if isinstance(one, Check) and one.details.passing
        }
        passing = {column: one for column, one in checks.items() if column is not None}
        taken = (*(one.name for one in every), *(one.not_null for one in columns))
        return cls(version, frozenset(taken), passing)

    def not_null(self, table: Name, column: TableColumn) -> Exact | None:
        """The name that has to be given to the NOT NULL of a column: PostgreSQL 18 keeps one.

        It is the declared one, or another than PostgreSQL would choose where a constraint is to
        have that.
        """
        usual = column.not_null_of(table)
        if self.version < 180000 or column.not_null or usual not in self.taken:
            return column.not_null
        return chosen_name(table.name, column.name, "not_null", self.taken)


def rules_out_nulls(check: Check) -> str | None:
    """The column that a check says to be not null, if that is all that it says."""
    match tree(check.expression):
        case {"NullTest": {"arg": {"ColumnRef": column}, "nulltesttype": "IS_NOT_NULL"}}:
            return str(column["fields"][-1]["String"]["sval"])
    return None


def _filled_in(table: Name, column: str, names: Names) -> Iterator[Statement]:
    """Take nulls away through a check, so that nobody waits while all rows are read.

    A run that died in between left the check, and this goes on from there.
    """
    there = names.passing.get(column)
    if there is None:
        name = chosen_name(table.name, column, "not_null_check", names.taken)
        check = Check(f"{quoted(column)} IS NOT NULL", name=quoted(name))
        yield from in_passing(table, check)
    else:
        name = Exact(there.name or "")
        yield validated(table, name)
    alter = f"ALTER TABLE {table}"
    set_ = f"{alter} ALTER COLUMN {quoted(column)} SET NOT NULL"
    yield together([set_, f"{alter} DROP CONSTRAINT {quoted(name)}"], (Lock(table),))


def _identified(
    alter: str, table: Name, current: TableColumn, declared: TableColumn, reads: bool
) -> Iterator[Statement]:
    if current.identity:
        yield Statement(f"{alter} SET GENERATED {declared.identity}", locks=table)
    else:
        if current.default is not None:
            yield Statement(f"{alter} DROP DEFAULT", locks=table)
            yield Statement(_unsequenced(table, declared.name))
        yield Statement(f"{alter} ADD GENERATED {declared.identity} AS IDENTITY", locks=table)
        yield positioned(table, declared.name, reads)


def positioned(table: Name, column: str, reads: bool) -> Statement:
    """Have a column's sequence go on behind the column's values, and where another has ended."""
    position = f"current_setting({literal(POSITION)}, true)"
    return Statement(
        f"SELECT setval(pg_get_serial_sequence({literal(str(table))}, {literal(column)}), "
        f"greatest(max({quoted(column)}), nullif({position}, '')::bigint, 0) + 1, false), "
        f"set_config({literal(POSITION)}, '', true) FROM {table}",
        hazards=(Hazard.LOCKS_OUT,) if reads else (),
        instead="a primary key or unique constraint that begins with it spares that",
    )


POSITION = "pyinfra_postgres.position"
"""The setting that has the value to which a sequence had come, for the rest of a transaction."""


def _unsequenced(table: Name, column: str) -> str:
    """Drop the sequence that a serial column owns: the identity goes on with one of its own."""
    which = f"pg_get_serial_sequence({literal(str(table))}, {literal(column)})"
    return (
        f"DO $sequence$ DECLARE owned text := {which}; position text; BEGIN "
        "IF owned IS NOT NULL THEN EXECUTE format('SELECT last_value FROM %s WHERE is_called', "
        "owned) INTO position; "
        f"PERFORM set_config({literal(POSITION)}, coalesce(position, ''), true); "
        "EXECUTE format('DROP SEQUENCE %s', owned); END IF; END $sequence$"
    )


def _regenerated(
    alter: str, table: Name, current: TableColumn, declared: TableColumn, filled: bool, version: int
) -> Statement:
    """The statement that changes how a column is computed.

    Raises DeclarationError where PostgreSQL has none.
    """
    computed = current.generated is not None and declared.generated is not None
    computed = computed and current.virtual == declared.virtual
    if computed and version >= 170000:
        hazards: tuple[Hazard, ...] = ()
        if filled and not declared.virtual:
            hazards = (Hazard.REWRITES, Hazard.BLOCKS_READS)
        elif filled and not declared.nullable:
            hazards = (Hazard.LOCKS_OUT,)
        return Statement(
            f"{alter} SET EXPRESSION AS ({closed(declared.generated or '')})",
            path=SearchPath.of(declared.generated),
            hazards=hazards,
            locks=table,
        )
    can = "only PostgreSQL 17 and newer change that" if computed else "PostgreSQL can't change that"
    raise DeclarationError(
        f"column {declared.name} is {_generation(current)} and is declared "
        f"{_generation(declared)}: {can}; drop the column, and the next run adds it"
    )


def _generation(column: TableColumn) -> str:
    how = " virtual" if column.virtual else " stored"
    return "plain" if column.generated is None else f"generated as ({column.generated}){how}"
