"""An enum type made anew, where labels are removed or reordered.

The old type is renamed away, the new one is created, every column gets it by way of text, and the
old one is dropped, all in one transaction. What uses the type (defaults, checks, indexes, policies,
triggers, views, functions, domains) is created again as the server has it.
https://www.postgresql.org/docs/current/datatype-enum.html#DATATYPE-ENUM-IMPLEMENTATION-DETAILS
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from attrs import field, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...comparison.asking import Ask
from ...comparison.definitions import compared
from ...errors import DeclarationError
from ...plan.plan import Hazard, Statement
from ...syntax.acl import array_items
from ...syntax.names import Exact, Name, literal, quoted
from ...syntax.naming import chosen_name
from ...syntax.parse import tokens
from ..dependents import Dependents, of_type
from ..granting import default_privileges, granted_again
from ..indexes.dependents import DependentKey, named_again
from ..tables.dependents import DependentColumn
from .dependents import DependentDomain, DependentType


@frozen
class _Column:
    """A column of a table or composite type that has the enum, or an array or domain of it."""

    table: Name
    kind: str
    name: Exact
    type: str
    array: bool

    def converted(self, replaced: Mapping[str, str]) -> str:
        """The part of ALTER TABLE that gives it the new type."""
        name = quoted(self.name)
        if self.kind == "c":
            return f"ALTER ATTRIBUTE {name} TYPE {self.type}"
        text = f"{name}::text{'[]' if self.array else ''}"
        for old, new in replaced.items() if self.array else ():
            text = f"array_replace({text}, {literal(old)}, {literal(new)})"
        if replaced and not self.array:
            cases = " ".join(
                f"WHEN {literal(old)} THEN {literal(new)}" for old, new in replaced.items()
            )
            text = f"(CASE {text} {cases} ELSE {text} END)"
        return f"ALTER COLUMN {name} TYPE {self.type} USING {text}::{self.type}"

    def holding(self, labels: Sequence[str]) -> str:
        """A query for how many rows hold each of some labels."""
        name = quoted(self.name)
        value = f"ANY ({name}::text[])" if self.array else f"{name}::text"
        found = ", ".join(f"({literal(label)})" for label in labels)
        return (
            f"SELECT json_build_array({literal(f'{self.table}.{name}')}, label, count(*)) "
            f"FROM {self.table} JOIN (VALUES {found}) AS gone(label) ON label = {value} "
            "GROUP BY label"
        )


@frozen
class Rebuild:
    """What has to be done before and after the new type is created."""

    name: Name
    users: Dependents = field(factory=Dependents)
    replaced: Mapping[str, str] = field(factory=dict)
    granted: Mapping[Name, tuple[Statement, ...]] = field(factory=dict)
    """The statements that grant the privileges on the type and on each domain again."""
    filled: frozenset[Name] = frozenset()
    taken: frozenset[str] = frozenset()
    """The names of types in its schema."""

    @classmethod
    def of(
        cls,
        name: Name,
        current: Sequence[str],
        declared: Sequence[str],
        replaced: Mapping[str, str],
        catalog: Forecast,
        ask: Ask,
    ) -> Rebuild:
        """The way from the current labels to the declared ones.

        Raises DeclarationError where something can't be made anew, or a row holds a label that
        goes and is not replaced.
        """
        gone = [label for label in current if label not in declared]
        what = f"without {', '.join(gone)}" if gone else "with its labels in another order"
        if name in catalog.created:
            raise DeclarationError(f"this run creates it, and declares it again {what}")
        users = of_type(name, catalog, ask).left
        if users.obstacles:
            raise DeclarationError(
                f"it would be made anew {what}, and these could not be made anew with it: "
                f"{', '.join(users.obstacles)}"
            )
        if named := sorted(set(_naming(users, name, gone))):
            raise DeclarationError(f"a label that goes is in {'; '.join(named)}: change that first")
        defaults = default_privileges(ask)
        types = [name, *(one.whole for one in users.of(DependentDomain))]
        found = cls(
            name,
            users,
            {old: new for old, new in replaced.items() if old in gone},
            {one: tuple(granted_again("TYPE", ("TYPE", *one), defaults, catalog)) for one in types},
            frozenset(catalog.filled),
            frozenset(one.name for one in catalog.types if one.schema == name.schema),
        )
        found._refuse_rows([label for label in gone if label not in replaced], ask)
        return found

    def _refuse_rows(self, labels: Sequence[str], ask: Ask) -> None:
        columns = [one for one in self._columns() if one.table in self.filled]
        if not labels or not columns:
            return
        rows = ask(" UNION ALL ".join(one.holding(labels) for one in columns))
        if rows:
            held = "; ".join(
                f"{label!r} is in {count} row{'s' if count > 1 else ''} of {column}"
                for column, label, count in sorted(rows)
            )
            raise DeclarationError(
                f"{held}: say what takes the place of a label that goes, with "
                f'replaced={{"{rows[0][1]}": "..."}}, or change the rows first'
            )

    def _columns(self) -> Iterator[_Column]:
        """The columns that are changed; those of partitions change with them."""
        types = {one.id: one for one in self.users.of(DependentType)}

        def is_array(one: DependentType) -> bool:
            is_over = isinstance(one, DependentDomain)
            return one.details.is_array or (is_over and is_array(types[one.details.base_id]))

        for one in self.users.of(DependentColumn):
            details = one.details
            if details.is_first:
                array = is_array(types[details.type_id])
                yield _Column(one.whole, details.relkind, Exact(one.part), details.type, array)

    def touched(self) -> Iterator[Key]:
        """The keys of what it makes anew or changes as it finds it."""
        return (one.key for one in self.users.all if one.key)

    def cleared(self) -> Iterator[Statement]:
        """Takes everything out of the way of the new type."""
        yield from self.users.dropped()
        yield Statement(f"ALTER TYPE {self.name} RENAME TO {quoted(self._old(self.name).name)}")

    def restored(self) -> Iterator[Statement]:
        """Gives all that used the old type the new one."""
        yield from self.granted.get(self.name, ())
        names = [self.name]
        for domain in self.users.of(DependentDomain):
            names.append(domain.whole)
            former = self._old(domain.whole).name
            yield Statement(f"ALTER DOMAIN {domain.whole} RENAME TO {quoted(former)}")
            yield from domain.anew
            yield from self.granted.get(domain.whole, ())
        parts: dict[tuple[Name, str], list[str]] = {}
        for column in self._columns():
            known = parts.setdefault((column.table, column.kind), [])
            known.append(column.converted(self.replaced))
        for (table, kind), texts in parts.items():
            rewrites = (Hazard.REWRITES, Hazard.BLOCKS_READS) if table in self.filled else ()
            word = "TYPE" if kind == "c" else "TABLE"
            locks = None if kind == "c" else table
            yield Statement(
                f"ALTER {word} {table} {', '.join(texts)}", hazards=rewrites, locks=locks
            )
        for name in reversed(names):
            yield Statement(f"DROP {'TYPE' if name == self.name else 'DOMAIN'} {self._old(name)}")
        yield from named_again(self.users.of(DependentKey))
        for one in self.users.all:
            if not isinstance(one, DependentDomain):
                yield from one.anew
        yield from compared(self.users.definitions)

    def _old(self, name: Name) -> Name:
        return Name(name.schema, chosen_name(name.name, None, "old", self.taken))


def _naming(users: Dependents, name: Name, labels: Sequence[str]) -> Iterator[str]:
    """The definitions in which a constant of the type is one of some labels."""
    for one in users.all:
        for statement in one.create:
            for label in _constants(statement.shown, name):
                if label in labels:
                    yield f"{one.title}: {label!r}"


def _constants(sql: str, name: Name) -> Iterator[str]:
    """The labels that a deparsed text has as constants of the type, or of an array of it."""
    type_ = re.compile(rf'{re.escape(str(name))}(?![\w"])(\[\])?')
    for constant, cast in pairwise(tokens(sql)):
        found = type_.match(sql, cast.end)
        if constant.text.startswith("'") and cast.text == "::" and found:
            text = sql[constant.start + 1 : constant.end - 1].replace("''", "'")
            yield from array_items(text) if found[1] else (text,)
