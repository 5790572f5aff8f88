"""Domains: CREATE DOMAIN, ALTER DOMAIN, DROP DOMAIN.

https://www.postgresql.org/docs/current/sql-createdomain.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, ClassVar, Self

from attrs import evolve, field, frozen

from ...catalog import renames
from ...catalog.catalog import Declared, Forecast
from ...catalog.entry import Key
from ...catalog.renames import Rename
from ...comparison.asking import Ask, Same
from ...errors import DeclarationError
from ...plan.plan import Hazard, Lock, Mode, Objection, Stage, Statement
from ...syntax import given
from ...syntax.names import Exact, Name, optional_identifier, optional_name, parse_name, quoted
from ...syntax.naming import chosen_name, joined
from ...syntax.parse import (
    Reference,
    closed,
    declared_references,
    default_expression,
    type_name,
    type_references,
)
from ...syntax.paths import SearchPath
from ..code.views import MaterializedView
from ..constraints.constraints import Check, Constraint
from ..constraints.objections import PlannedValues, ValueRule
from ..dependents import of_type
from ..holders import columns_of_type
from ..kind import (
    Copies,
    Object,
    SubObject,
    aligned_type,
    comment,
    either,
    owner,
    owner_references,
    schema_of,
)
from ..tables.columns import is_null, same_value
from ..tables.planned_rows import PlannedRows, plain_type
from ..tables.tables import Table


def _type(text: str | None) -> str | None:
    return None if text is None else type_name(text)


_Checks = str | Constraint | Iterable[str | Constraint]


def _checks(checks: _Checks) -> tuple[Check, ...]:
    return tuple(map(_check, given.several("checks", checks, (str, Constraint))))


def _check(one: str | Constraint) -> Check:
    match one:
        case Check():
            return one
        case Constraint(present=False):
            return Check("true", name=one.name, present=False)
        case str():
            return Check(one)
    raise given.refused("a check of a domain", "a condition, or pg.Check(...)", one)


@frozen
class DomainDetails:
    """What a catalog knows of a domain beside what may be declared."""

    new_rules: tuple[ValueRule, ...] = ()
    """Of its rules those that the server does not know yet."""
    views: tuple[tuple[Name, str], ...] = ()
    """The materialized views that have columns of it, with these."""


@frozen
class DomainFacts:
    """What is known of a change of a domain."""

    users: tuple[Name, ...] = ()
    """The tables that have columns of it."""
    filled: bool = False
    """Whether one of them may have rows."""
    details: DomainDetails = DomainDetails()


_USUAL = DomainFacts()


@frozen
class Domain(Object):
    """A domain: a type with conditions."""

    kind: ClassVar[str] = "domain"
    word: ClassVar[str] = "types"
    acl: ClassVar[str] = "TYPE"
    essence: ClassVar[str] = "type"
    gives_meaning: ClassVar[bool] = True

    name: Name = field(converter=parse_name)
    type: str | None = field(default=None, converter=_type)
    checks: tuple[Check, ...] = field(default=(), converter=_checks, kw_only=True)
    default: str | None = field(default=None, converter=default_expression, kw_only=True)
    nullable: bool = field(default=True, kw_only=True)
    owner: Exact | None = field(default=None, converter=optional_identifier, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    renamed_from: Name | None = field(default=None, converter=optional_name, eq=False, kw_only=True)

    def key(self) -> Key:
        return (self.kind, *self.name)

    def renames(self, catalog: Forecast) -> Iterator[Rename]:
        yield from Object.renames(self, catalog)
        for one in self.checks:
            if one.present and one.name and one.renamed_from:
                yield renames.constraint(self, one.renamed_from, one.name)

    def names(self) -> Iterator[Key]:
        yield self.key()
        for one in self.checks:
            if one.present and one.name:
                yield ("constraint", *self.name, one.name)

    def lines(self) -> Iterator[str]:
        yield f"as {self.type}{'' if self.nullable else ' not null'}"
        if self.default is not None:
            yield f"default {self.default}"
        for one in self.checks:
            yield one.written() + ("" if one.validated else " NOT VALID")
        if self.owner:
            yield f"owner {quoted(self.owner)}"
        if self.comment:
            yield f"comment {self.comment!r}"

    def requires(self) -> Iterator[Reference]:
        yield from schema_of(self.name)
        yield from owner_references(self.owner)
        if self.type:
            yield from type_references(self.type)
        yield from declared_references(self.default)
        for one in self.checks:
            yield from one.requires()

    def provides(self) -> Iterator[Reference]:
        yield Reference("type", self.name)

    def completed(self, catalog: Forecast, same: Same) -> Self | None:
        if self.type is None:
            raise DeclarationError("it does not exist: declare its type")
        checks = [one.evolved(validated=True) for one in self.checks if one.present]
        return evolve(self, checks=checks)

    def used_by(self, catalog: Forecast, ask: Ask) -> list[str]:
        return of_type(self.name, catalog, ask).users(self.name, catalog)

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        changes: dict[str, Any] = {
            "type": self._aligned_type(current, same),
            "owner": either(self.owner, current.owner),
            "comment": either(self.comment, current.comment),
        }
        if current.default is None and is_null(self.default):
            changes["default"] = None  # PostgreSQL does not keep it.
        elif same_value(current.type or "", self.default, current.default, same):
            changes["default"] = current.default
        # Those that are not declared come last.
        checks, others = self._aligned_checks(current, same, catalog)
        return evolve(self, checks=[*checks, *others], **changes)

    def _aligned_type(self, current: Self, same: Same) -> str | None:
        if self.type is None or current.type is None:
            return either(self.type, current.type)
        return aligned_type(self.type, current.type, same)

    def undeclared(self, known: Sequence[Declared]) -> Iterator[SubObject]:
        kept = {one.name for one in self.checks}
        for _, declaration, target in known:
            if isinstance(declaration, Domain):
                if target is None:
                    return  # It has not had its turn, and may declare them.
                kept &= {one.name for one in target.checks[declaration.claimed :]}
        for one in self.checks:
            if one.name in kept:
                name = f"{self.name}.{quoted(one.name or '')}"
                absent = Check("true", name=quoted(one.name or ""), present=False)
                removal = Domain(
                    self.name,
                    self.type,
                    checks=[absent],
                    default=self.default,
                    nullable=self.nullable,
                )
                yield SubObject("constraint", name, one.definition(), removal)

    @property
    def claimed(self) -> int:
        """How many of its checks are to be there."""
        return sum(one.present for one in self.checks)

    def _aligned_checks(
        self, current: Self, same: Same, catalog: Forecast
    ) -> tuple[list[Check], list[Check]]:
        """Those that are declared, each written as the stored one it equals, and the others."""
        # VALUE reads as a column of that name.
        template = f"SELECT 1 FROM (SELECT CAST(NULL AS {current.type})) AS d(value) WHERE ({{}})"
        absent = [one for one in self.checks if not one.present]
        free = [
            other
            for other in current.checks
            if not any(
                one.name == other.name
                if one.name
                else same(template, one.expression, other.expression)
                for one in absent
            )
        ]
        present = [one for one in self.checks if one.present]
        found: list[Check] = []
        new = []
        for one in sorted(present, key=lambda one: one.name is None):
            named = [other for other in free if one.name in {None, other.name}]
            texts = [other.expression for other in named]
            equal = same.first(texts, partial(same, template, one.expression))
            if equal is not None:
                other = named[texts.index(equal)]
                free.remove(other)
                found.append(other.evolved(validated=other.validated or one.validated))
            else:
                new.append(one)
        declared_names = {one.name for one in present if one.name}
        free = [other for other in free if other.name not in declared_names]
        for one in new:
            # One without a name stands for what has PostgreSQL's own.
            for other in free if one.name is None else ():
                if self._has_own_name(other) and not any(
                    same(template, claim.expression, other.expression)
                    for known in catalog.declared.get(self.key(), ())
                    for claim in getattr(known.declaration, "checks", ())
                ):
                    free.remove(other)
                    one = one.evolved(name=other.name)
                    break
            found.append(one)
        return found, free

    def _has_own_name(self, check: Check) -> bool:
        """Whether a stored check has the name that PostgreSQL gives, now or under a former name."""
        names = [self.name.name, *([self.renamed_from.name] if self.renamed_from else ())]
        own = "|".join(re.escape(joined(name, None, "check")) for name in names)
        return bool(re.fullmatch(rf"(?:{own})\d*", check.name or ""))

    def facts(
        self,
        current: Domain | None,
        target: Domain | None,
        catalog: Forecast,
        same: Same,
        ask: Ask | None,
    ) -> DomainFacts | None:
        if current is None or target is None:
            return None
        users = tuple(_users(self.name, catalog))
        filled = not catalog.filled.isdisjoint(users)
        details = target._details(current, catalog, ask) if ask else DomainDetails()
        return DomainFacts(users, filled, details)

    def _details(self, current: Domain, catalog: Forecast, ask: Ask) -> DomainDetails:
        """What the server does not know yet. Raises DeclarationError where it can't check that."""
        unread = {*catalog.details_of(current, DomainDetails).new_rules}
        unread |= {_rule(one) for one in current.checks if not one.validated}
        known = set(current.rules) - unread
        known |= {_rule(one) for one in self.checks if not one.validated}
        rules = tuple(one for one in self.rules if one not in known)
        if not rules:
            return DomainDetails()
        kinds = ("table", MaterializedView.kind)
        held = columns_of_type(self.name, ask)
        if columns := [
            one.text
            for one in held
            if one.within and any((kind, *one.relation) in catalog.objects for kind in kinds)
        ]:
            raise DeclarationError(
                f"PostgreSQL can't check the values within {', '.join(columns)} (an array or "
                "another type that holds it): declare another domain and change them to it"
            )
        views = [
            (one.relation, one.column)
            for one in held
            if (MaterializedView.kind, *one.relation) in catalog.objects
        ]
        return DomainDetails(rules, tuple(views))

    def store(self, catalog: Forecast, current: Self | None, facts: DomainFacts | None) -> None:
        catalog.put(self)
        catalog.details[self.key()] = facts.details if facts else DomainDetails()

    @property
    def rules(self) -> tuple[ValueRule, ...]:
        """What it says of its values."""
        strict = () if self.nullable else (("NOT NULL", "value IS NOT NULL"),)
        return (*strict, *(_rule(one) for one in self.checks))

    def contradictions(self, catalog: Forecast) -> Iterator[Objection]:
        """What the values that are there once the plan has run may say against its new rules."""
        type_ = plain_type(str(self.name), catalog)
        details = catalog.details_of(self, DomainDetails)
        for table, column in (*_columns(self.name, catalog), *details.views):
            rows = PlannedRows.of(table, catalog)
            if table in catalog.filled and rows.knows([column]):
                values = PlannedValues(column, type_, rows, f" of {table}")
                yield from map(values.against, details.new_rules)

    def too_late(self, catalog: Forecast) -> Iterator[str]:
        for table in catalog.of(Table):
            for column in table.columns or ():
                if column.type == f"{self.name}[]":
                    yield (
                        f"PostgreSQL can't check the values within {quoted(column.name)} of "
                        f"{table.name}, an array of it: let a run before this one change it, or "
                        "declare another domain for one of them"
                    )

    def copied(self, current: Self, facts: Any, catalog: Forecast) -> Copies:
        return Copies((), current._copy(), self._copy())

    def _copy(self) -> Self:
        return type(self)(
            Name("pg_temp", self.name.name),
            self.type,
            checks=[one.evolved(validated=True) for one in self.checks],
            default=self.default,
            nullable=self.nullable,
        )

    @staticmethod
    def diff(
        current: Domain | None, declared: Domain | None, facts: DomainFacts = _USUAL
    ) -> Iterator[Statement]:
        """CREATE, ALTER or DROP a domain. Checks that are not declared stay."""
        if declared is None:
            assert current
            yield Statement(f"DROP DOMAIN {current.name}")
            return
        target = f"DOMAIN {declared.name}"
        if current is None:
            yield _created(declared)
        else:
            yield from _altered(current, declared, facts)
        yield from owner(target, current, declared)
        yield from comment(target, current, declared)


def _rule(check: Check) -> ValueRule:
    return check.written(), check.expression


def _created(declared: Domain) -> Statement:
    parts = [f"CREATE DOMAIN {declared.name} AS {declared.type}"]
    if declared.default is not None:
        parts.append(f"DEFAULT ({closed(declared.default)})")
    parts += [one.written() for one in declared.checks]
    if not declared.nullable:
        # PostgreSQL finds a name for that which no check has.
        parts.append("NOT NULL")
    path = SearchPath.of(declared.default, *(one.expression for one in declared.checks))
    return Statement(" ".join(parts), path=path)


def _altered(current: Domain, declared: Domain, facts: DomainFacts) -> Iterator[Statement]:
    alter = f"ALTER DOMAIN {declared.name}"
    if current.type != declared.type:
        raise DeclarationError(
            f"it is {current.type} and is declared as {declared.type}: PostgreSQL can't change "
            "the type under a domain; declare another domain and change the columns to it"
        )
    if current.default != declared.default:
        new = (
            "DROP DEFAULT"
            if declared.default is None
            else f"SET DEFAULT ({closed(declared.default)})"
        )
        yield Statement(f"{alter} {new}", path=SearchPath.of(declared.default))
    if declared.nullable and not current.nullable:
        yield Statement(f"{alter} DROP NOT NULL")
    before = {one.name: one for one in current.checks if one.name}
    for name in sorted(set(map(str, before)) - {str(one.name) for one in declared.checks}):
        yield Statement(f"{alter} DROP CONSTRAINT {quoted(name)}")
    for one in declared.checks:
        if one in current.checks:
            continue
        other = before.get(one.name) if one.name else None
        if other is not None and other.evolved(validated=True) == one:
            yield _validated(alter, one, facts)
            continue
        if other is not None:
            yield Statement(f"{alter} DROP CONSTRAINT {quoted(other.name or '')}")
        if facts.filled or not one.validated:
            taken = {one.name for one in (*current.checks, *declared.checks)}
            own_name = chosen_name(declared.name.name, None, "check", taken)
            named = one if one.name else one.evolved(name=own_name)
            path = SearchPath.of(*named.fragments)
            yield Statement(f"{alter} ADD {named.written()} NOT VALID", path=path)
            if one.validated:
                yield _validated(alter, named, facts)
        else:
            read = _read(f"{alter} ADD {one.written()}", facts)
            yield evolve(read, path=SearchPath.of(*one.fragments))
    if current.nullable and not declared.nullable:
        # PostgreSQL finds a name for that which no check has.
        yield _read(f"{alter} SET NOT NULL", facts)


def _validated(alter: str, one: Check, facts: DomainFacts) -> Statement:
    return _read(f"{alter} VALIDATE CONSTRAINT {quoted(one.name or '')}", facts)


def _read(sql: str, facts: DomainFacts) -> Statement:
    """A statement that reads all tables with columns of the domain, and has their writers wait.

    Where there are rows it runs by itself, so that nobody waits for the transaction as well.
    """
    locks = tuple(Lock(table, Mode.SHARE, only=True) for table in facts.users)
    if not facts.filled:
        return Statement(sql, locks=locks)
    hazards = (Hazard.SCANS, Hazard.BLOCKS_WRITES)
    return Statement(sql, stage=Stage.AFTER, hazards=hazards, locks=locks)


def _users(domain: Name, catalog: Forecast) -> list[Name]:
    """The tables that have columns of a domain, or of one over it."""
    return sorted({table for table, _ in _columns(domain, catalog)})


def _columns(domain: Name, catalog: Forecast) -> Iterator[tuple[Name, str]]:
    types = [str(domain)]
    for type_ in types:
        types += [str(one.name) for one in catalog.of(Domain) if one.type == type_]
    for table in catalog.of(Table):
        if catalog.relation_kinds.get(table.name) == "r":
            yield from ((table.name, one.name) for one in table.columns or () if one.type in types)
