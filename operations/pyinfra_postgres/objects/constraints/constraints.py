"""Constraints of tables: primary keys, unique, foreign key and check constraints.

https://www.postgresql.org/docs/current/ddl-constraints.html
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cache
from operator import attrgetter
from typing import Any, Self, cast

from attrs import evolve, field, fields, frozen

from ...comparison.asking import Same
from ...errors import DeclarationError
from ...syntax.given import check_plain, refused
from ...syntax.names import (
    Exact,
    Name,
    identifier,
    identifiers,
    listed,
    optional_identifier,
    quoted,
)
from ...syntax.parse import (
    Reference,
    closed,
    declared_references,
    expression,
    named,
    optional_expression,
)
from ..indexes.elements import Element, aligned_element, condition_template
from .clauses import Referenced, delete_action, operator, target, update_action
from .details import ConstraintDetails


@cache
def _attributes(one: Hashable) -> list[str]:
    return [attribute.name for attribute in fields(cast(Any, one))]


@cache
def _rule(one: Hashable) -> Callable[[Any], Any]:
    """What reads of a constraint all but its name, and whether it is validated."""
    names = [attribute.name for attribute in fields(cast(Any, one)) if attribute.eq]
    return attrgetter(*(name for name in names if name not in {"name", "validated"}))


@frozen
class Build:
    """How a constraint comes to be."""

    instead: Constraint | None = None
    """The stored constraint whose place it takes."""
    renames: bool = False
    """Whether that one is the same but for its name."""
    indexes: tuple[Any, ...] = ()
    """What is built first for a key: of a partitioned table one for each partition."""
    dependents: tuple[ReferringKey, ...] = ()
    """The foreign keys that stand on the key whose place it takes."""
    marks: tuple[str, ...] = ()
    """The statements that say of its index what its table says of the one that goes."""
    leaves: tuple[tuple[Name, Constraint | None], ...] = ()
    """The partitions that get a foreign key first, each with what it has of it."""
    later: bool = False
    """Whether it is there, or as it is declared, only after the transaction."""


_USUAL = ConstraintDetails()


@frozen
class Constraint:
    """What constraints have in common.

    By itself it is one that is to go, whatever it says: `pg.Constraint(name="c", present=False)`.
    """

    name: Exact | None = field(default=None, converter=optional_identifier, kw_only=True)
    renamed_from: Exact | None = field(
        default=None, converter=optional_identifier, eq=False, kw_only=True
    )
    validated: bool = field(default=True, kw_only=True)
    """Whether the rows that were there before it obey it too."""
    present: bool = field(default=True, eq=False, kw_only=True)
    details: ConstraintDetails = field(default=_USUAL, kw_only=True)
    build: Build = field(factory=Build, eq=False, kw_only=True)
    """How it comes to be, where it is not there yet."""

    @property
    def is_key(self) -> bool:
        """Whether foreign keys can stand on it."""
        return isinstance(self, PrimaryKey | Unique)

    @property
    def has_index(self) -> bool:
        """Whether it has an index of its name."""
        return isinstance(self, PrimaryKey | Unique | Exclude)

    def __attrs_post_init__(self) -> None:
        if type(self) is Constraint and (self.present or self.name is None):
            raise DeclarationError(
                "a constraint is pg.Check(...) or one of its kin; "
                "pg.Constraint(name=..., present=False) takes one away"
            )
        if self.renamed_from and not self.name:
            raise DeclarationError(f"renamed_from={self.renamed_from!r} is for one with a name")
        check_plain("a constraint" if self.name is None else f"constraint {self.name}", self)

    def evolved(self, **changes: Any) -> Self:
        """A copy with other values."""
        copy = object.__new__(type(self))
        names = _attributes(cast(Hashable, type(self)))
        values = {name: getattr(self, name) for name in names} | changes
        copy.__attrs_init__(**values)  # type: ignore[attr-defined]
        return copy

    def known(self, **changes: Any) -> Self:
        """A copy of which something else is known."""
        return self.evolved(details=evolve(self.details, **changes))

    def definition(self) -> str:
        """What follows its name."""
        raise NotImplementedError

    @property
    def fragments(self) -> tuple[str | None, ...]:
        """The SQL in its definition that names functions, operators or types."""
        return ()

    @property
    def used(self) -> set[str]:
        """What may be columns of its table in it."""
        return set(getattr(self, "columns", ()))

    def written(self) -> str:
        """Its definition, with its name if it has one."""
        prefix = f"CONSTRAINT {quoted(self.name)} " if self.name else ""
        return prefix + self.definition() + ("" if self.details.enforced else " NOT ENFORCED")

    @property
    def _overlaps(self) -> str:
        return " WITHOUT OVERLAPS" if self.details.period else ""

    def requires(self) -> Iterator[Reference]:
        """What it names outside its table."""
        return iter(())

    def equals(self, current: Constraint, same: Same, table: Name) -> bool:
        """Whether a constraint of the catalog is the same but for its name."""
        return self.says_as(current)

    def says_as(self, other: Constraint) -> bool:
        """Whether it is the same but for its name, and for whether it is validated."""
        if type(self) is not type(other):
            return False
        rule = _rule(cast(Hashable, type(self)))
        return bool(rule(self) == rule(other))


def _timing(deferrable: bool, deferred: bool) -> str:
    text = " DEFERRABLE" if deferrable or deferred else ""
    return f"{text} INITIALLY DEFERRED" if deferred else text


@frozen(init=False)
class PrimaryKey(Constraint):
    """A primary key over columns; they become not null."""

    columns: tuple[Exact, ...] = field(converter=identifiers)
    include: tuple[Exact, ...] = field(default=(), converter=identifiers)
    deferrable: bool = False
    initially_deferred: bool = False

    def __init__(
        self,
        *columns: str,
        name: str | None = None,
        renamed_from: str | None = None,
        include: Iterable[str] = (),
        deferrable: bool = False,
        initially_deferred: bool = False,
        present: bool = True,
    ) -> None:
        self.__attrs_init__(
            columns=_given(columns),
            include=include,
            deferrable=initially_deferred or deferrable,
            initially_deferred=initially_deferred,
            name=name,
            renamed_from=renamed_from,
            present=present,
        )

    @property
    def timing(self) -> str:
        """When it is checked."""
        return _timing(self.deferrable, self.initially_deferred)

    def definition(self) -> str:
        include = f" INCLUDE ({listed(self.include)})" if self.include else ""
        beside = f"{include}{self.details.fittings}{self.timing}"
        return f"PRIMARY KEY ({listed(self.columns)}{self._overlaps}){beside}"


@frozen(init=False)
class Unique(Constraint):
    """A unique constraint over columns."""

    columns: tuple[Exact, ...] = field(converter=identifiers)
    nulls_not_distinct: bool = False
    include: tuple[Exact, ...] = field(default=(), converter=identifiers)
    deferrable: bool = False
    initially_deferred: bool = False

    def __init__(
        self,
        *columns: str,
        name: str | None = None,
        renamed_from: str | None = None,
        nulls_not_distinct: bool = False,
        include: Iterable[str] = (),
        deferrable: bool = False,
        initially_deferred: bool = False,
        present: bool = True,
    ) -> None:
        self.__attrs_init__(
            columns=_given(columns),
            nulls_not_distinct=nulls_not_distinct,
            include=include,
            deferrable=initially_deferred or deferrable,
            initially_deferred=initially_deferred,
            name=name,
            renamed_from=renamed_from,
            present=present,
        )

    @property
    def timing(self) -> str:
        """When it is checked."""
        return _timing(self.deferrable, self.initially_deferred)

    def definition(self) -> str:
        nulls = " NULLS NOT DISTINCT" if self.nulls_not_distinct else ""
        include = f" INCLUDE ({listed(self.include)})" if self.include else ""
        beside = f"{include}{self.details.fittings}{self.timing}"
        return f"UNIQUE{nulls} ({listed(self.columns)}{self._overlaps}){beside}"


@frozen(init=False)
class ForeignKey(Constraint):
    """A foreign key. `references` is a table, with columns or without for its primary key.

    `on_delete` may name the columns that it sets: "SET NULL (author)". With `validated=False` rows
    that are there need not obey it: it is added NOT VALID. One that is valid stays valid.
    """

    columns: tuple[Exact, ...] = field(converter=identifiers)
    table: Name = field()
    foreign_columns: tuple[Exact, ...] = field(default=(), converter=identifiers)
    on_delete: str = "NO ACTION"
    on_delete_columns: tuple[Exact, ...] = ()
    """Those that it sets, sorted, where these are not all of the key's."""
    on_update: str = "NO ACTION"
    match_full: bool = False
    deferrable: bool = False
    initially_deferred: bool = False

    def __init__(
        self,
        *columns: str,
        references: str | Referenced,
        name: str | None = None,
        renamed_from: str | None = None,
        on_delete: str = "NO ACTION",
        on_update: str = "NO ACTION",
        match_full: bool = False,
        deferrable: bool = False,
        initially_deferred: bool = False,
        validated: bool = True,
        present: bool = True,
    ) -> None:
        table, foreign_columns = target(references)
        own = identifiers(_given(columns))
        action, set_columns = delete_action(on_delete)
        self.__attrs_init__(
            columns=own,
            table=table,
            foreign_columns=foreign_columns,
            on_delete=action,
            on_delete_columns=() if set_columns == set(own) else tuple(sorted(set_columns)),
            on_update=update_action(on_update),
            match_full=match_full,
            deferrable=initially_deferred or deferrable,
            initially_deferred=initially_deferred,
            validated=validated,
            name=name,
            renamed_from=renamed_from,
            present=present,
        )

    def definition(self) -> str:
        foreign = f" ({self._timed(self.foreign_columns)})" if self.foreign_columns else ""
        parts = [f"FOREIGN KEY ({self._timed(self.columns)}) REFERENCES {self.table}{foreign}"]
        if self.match_full:
            parts.append("MATCH FULL")
        if self.on_update != "NO ACTION":
            parts.append(f"ON UPDATE {self.on_update}")
        if self.on_delete != "NO ACTION":
            parts.append(f"ON DELETE {self.on_delete}")
        if self.on_delete_columns:
            parts.append(f"({listed(self.on_delete_columns)})")
        return " ".join(parts) + _timing(self.deferrable, self.initially_deferred)

    def _timed(self, columns: tuple[Exact, ...]) -> str:
        if not self.details.period:
            return listed(columns)
        return ", ".join([*map(quoted, columns[:-1]), f"PERIOD {quoted(columns[-1])}"])

    def requires(self) -> Iterator[Reference]:
        yield Reference("table", self.table)


@frozen
class ReferringKey:
    """A foreign key with its table."""

    table: Name
    key: ForeignKey
    in_steps: bool
    """Whether PostgreSQL lets it be added first and validated later."""

    @property
    def is_to_be_valid(self) -> bool:
        """Whether all rows are known to obey it, or are to be read again."""
        return self.key.validated or self.key.details.owed

    @property
    def name(self) -> str:
        """Its name, as SQL needs it."""
        return quoted(self.key.name or "")

    def __str__(self) -> str:
        return f"{self.name} of {self.table}"


@frozen(init=False)
class Check(Constraint):
    """A check constraint.

    With `validated=False` rows that are there need not obey it: it is added NOT VALID. One that is
    valid stays valid.
    """

    expression: str = field(converter=expression)
    no_inherit: bool = False

    def __init__(
        self,
        expression: str,
        *,
        name: str | None = None,
        renamed_from: str | None = None,
        no_inherit: bool = False,
        validated: bool = True,
        present: bool = True,
    ) -> None:
        self.__attrs_init__(
            expression=expression,
            no_inherit=no_inherit,
            validated=validated,
            name=name,
            renamed_from=renamed_from,
            present=present,
        )

    def definition(self) -> str:
        return f"CHECK ({closed(self.expression)})" + (" NO INHERIT" if self.no_inherit else "")

    @property
    def fragments(self) -> tuple[str | None, ...]:
        return (self.expression,)

    @property
    def used(self) -> set[str]:
        return named(self.expression)

    def requires(self) -> Iterator[Reference]:
        return declared_references(self.expression)

    def equals(self, current: Constraint, same: Same, table: Name) -> bool:
        return (
            isinstance(current, Check)
            and (self.no_inherit, self.details) == (current.no_inherit, current.details)
            and same(condition_template(table), self.expression, current.expression, table)
        )


@frozen(init=False)
class NotNull(Constraint):
    """A column's NOT NULL, where it has a name, or where rows that are there may have nulls.

    Without those `nullable=False` of its column says the same. Any other name that it has is
    changed. With `validated=False` it is added NOT VALID. PostgreSQL 18 and newer have both.
    """

    column: Exact = field(converter=identifier)

    def __init__(self, column: str, *, name: str | None = None, validated: bool = True) -> None:
        self.__attrs_init__(column=column, name=name, validated=validated)

    def definition(self) -> str:
        return f"NOT NULL {quoted(self.column)}"


def _exclusion(pair: tuple[str | Element, str]) -> tuple[Element, str]:
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise refused("an element of Exclude", "(column, operator)", pair)
    return Element.parse(pair[0]), operator(pair[1])


def _exclusions(
    elements: Iterable[tuple[str | Element, str]],
) -> tuple[tuple[Element, str], ...]:
    found = tuple(map(_exclusion, elements))
    if not found:
        raise DeclarationError("pg.Exclude needs at least one (column, operator)")
    return found


@frozen(init=False)
class Exclude(Constraint):
    """An exclusion constraint: no two rows for which all operators hold.

    `pg.Exclude(("room", "="), ("period", "&&"), using="gist")`
    """

    elements: tuple[tuple[Element, str], ...] = field(converter=_exclusions)
    using: str = field(default="gist", converter=identifier)
    where: str | None = field(default=None, converter=optional_expression)
    deferrable: bool = False
    initially_deferred: bool = False

    def __init__(
        self,
        *elements: tuple[str, str],
        using: str = "gist",
        where: str | None = None,
        name: str | None = None,
        renamed_from: str | None = None,
        deferrable: bool = False,
        initially_deferred: bool = False,
        present: bool = True,
    ) -> None:
        self.__attrs_init__(
            elements=elements,
            using=using,
            where=where,
            deferrable=initially_deferred or deferrable,
            initially_deferred=initially_deferred,
            name=name,
            renamed_from=renamed_from,
            present=present,
        )

    def definition(self) -> str:
        elements = ", ".join(f"{element} WITH {operator}" for element, operator in self.elements)
        where = "" if self.where is None else f" WHERE ({closed(self.where)})"
        timing = _timing(self.deferrable, self.initially_deferred)
        return (
            f"EXCLUDE USING {quoted(self.using)} ({elements}){self.details.fittings}{where}{timing}"
        )

    @property
    def fragments(self) -> tuple[str | None, ...]:
        elements = ((*element.fragments, operator) for element, operator in self.elements)
        return (self.where, *(text for each in elements for text in each))

    @property
    def used(self) -> set[str]:
        elements = [element for element, _ in self.elements]
        columns = {element.column for element in elements if element.column}
        return columns | named(self.where, *(element.expression for element in elements))

    def requires(self) -> Iterator[Reference]:
        expressions = (element.expression for element, _ in self.elements)
        return declared_references(self.where, *expressions)

    def equals(self, current: Constraint, same: Same, table: Name) -> bool:
        if not isinstance(current, Exclude) or len(self.elements) != len(current.elements):
            return False
        # All of it is compared, so that every expression is in one batch.
        elements = [
            (aligned_element(mine, other, same, table), operator)
            for (mine, operator), (other, _) in zip(self.elements, current.elements, strict=True)
        ]
        where = condition_template(table)
        equal = self.evolved(
            elements=elements,
            where=current.where if same(where, self.where, current.where, table) else self.where,
            name=current.name,
            validated=current.validated,
        )
        return equal == current


def _given(columns: tuple[str, ...]) -> tuple[str, ...]:
    if not columns:
        raise DeclarationError("a key needs at least one column")
    return columns
