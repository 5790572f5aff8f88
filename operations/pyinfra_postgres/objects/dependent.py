"""What every kind of dependent has in common: an object that depends on another one.

A kind is a class. Its section of the query finds objects of it, and how the server would create
them again; its methods say what becomes of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar, NamedTuple, Self

from attrs import evolve, frozen

from ..catalog.catalog import Forecast
from ..catalog.entry import Key
from ..comparison.definitions import Definition
from ..plan.plan import Hazard, Lock, Mode, Statement
from ..syntax.names import Exact, Name
from .dependents_query import OTHER
from .granting import granted_again

_ROOT = "0/0/0"
"""What a root needs: nothing."""
_NOTHING = Name("", "")


class FoundRow(NamedTuple):
    """A row of the query."""

    id: str
    kind: str
    title: str
    needs: Sequence[str] | None
    """The ids of what it depends on."""
    key: Sequence[str] | None
    relations: Sequence[Sequence[str]] | None
    """The relations that its statements lock."""
    drop: Any
    """The statements that drop it, in nested lists that also hold nothing."""
    create: Any
    restore: Any
    obstacle: str | None
    whole: Sequence[str] = ("", "")
    part: str = ""
    details: Sequence[Any] = ()


@frozen
class Dependent:
    """An object that depends on another, with what drops it and what creates it again."""

    kind: ClassVar[str]
    section: ClassVar[str]
    """The part of the query that has a row for each; those of several kinds may be of one."""
    details_type: ClassVar[type[Any] | None] = None
    """The names of its details, in the order in which a row has them."""
    acl: ClassVar[str] = ""
    """What privileges call it, where it loses any when it is made anew."""
    hazards: ClassVar[tuple[Hazard, ...]] = ()
    """What dropping it does to others."""
    is_inner: ClassVar[bool] = False
    """Whether it comes and goes with another one by itself, and is no user of anything."""
    is_relation: ClassVar[bool] = False
    is_routine: ClassVar[bool] = False
    is_declared_alone: ClassVar[bool] = False
    """Whether its declaration creates it in one statement."""
    keeps_columns: ClassVar[bool] = False
    """Whether a column that it uses can't be dropped; with another one it goes."""
    follows_columns: ClassVar[bool] = False
    """Whether PostgreSQL gives it another type with its column, or creates it again."""
    reads_rows: ClassVar[bool] = False
    """Whether its table's rows are read when it is created."""
    is_of_one_table: ClassVar[bool] = False
    """Whether a table has it for itself, whatever partitions and heirs it has."""
    spares_heirs: ClassVar[bool] = False
    """Whether its table's heirs are not locked when it is dropped."""

    id: str
    title: str
    needs: frozenset[str]
    """The ids of what it depends on."""
    key: Key | None = None
    """The key in the catalog of what it is, or is a part of."""
    drop: tuple[Statement, ...] = ()
    create: tuple[Statement, ...] = ()
    """What creates it with its definition."""
    restore: tuple[Statement, ...] = ()
    """What gives it all else that it has: owner, privileges, comments, settings of its columns."""
    obstacle: str = ""
    """Why it can't be made anew."""
    whole: Name = _NOTHING
    """What it is a part of, else what it is."""
    part: str = ""
    """Its name as a part of that."""
    details: Any = ()
    """What else is known of it."""
    definition: Definition | None = None
    """How the server prints it; None where the plan has it otherwise by now."""
    gone: bool = False
    """Whether the plan has taken it away by now."""

    @classmethod
    def read(cls, row: FoundRow) -> Self:
        """From a row of the query."""
        tables = [Name(*name) for name in row.relations or ()]
        dropping = cls.dropping(tables)
        return cls(
            row.id,
            row.title,
            frozenset(row.needs or ()),
            tuple(row.key) if row.key else None,
            tuple(Statement(one, hazards=cls.hazards, locks=dropping) for one in _texts(row.drop)),
            tuple(cls.created(one, tables) for one in _texts(row.create)),
            tuple(Statement(one, locks=cls.restoring(one, tables)) for one in _texts(row.restore)),
            row.obstacle or "",
            Name(*row.whole),
            row.part,
            cls.details_type(*row.details) if cls.details_type else (),
        )

    @classmethod
    def created(cls, text: str, tables: Sequence[Name]) -> Statement:
        """The statement that creates it by a text of the server's."""
        return Statement(text, locks=cls.creating(tables))

    # https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
    @classmethod
    def dropping(cls, tables: Sequence[Name]) -> tuple[Lock, ...]:
        """What is locked to drop it: its table, and that to which a foreign key refers."""
        own, referred = tables[:1], tables[1:]
        return (
            *(Lock(one, only=cls.is_of_one_table, spares_heirs=cls.spares_heirs) for one in own),
            *(Lock(one, spares_heirs=True) for one in referred),
        )

    @classmethod
    def creating(cls, tables: Sequence[Name]) -> tuple[Lock, ...]:
        """What is locked to create it again."""
        return cls.dropping(tables)

    @classmethod
    def restoring(cls, text: str, tables: Sequence[Name]) -> tuple[Lock, ...]:
        """What is locked to give back something else that it had."""
        own = tables[:1]
        if text.startswith("COMMENT ON INDEX"):
            return ()
        if text.startswith("COMMENT ON"):
            return tuple(Lock(one, Mode.SHARE_UPDATE_EXCLUSIVE, only=True) for one in own)
        if not text.startswith("ALTER TABLE"):
            return tuple(Lock(one, only=True) for one in own if text.startswith("ALTER TRIGGER"))
        clusters = any(text.startswith(f"ALTER TABLE {one} CLUSTER ON") for one in own)
        mode = Mode.SHARE_UPDATE_EXCLUSIVE if clusters else Mode.ACCESS_EXCLUSIVE
        return tuple(Lock(one, mode, only=True) for one in own)

    @property
    def root(self) -> bool:
        """Whether it is what was asked about."""
        return _ROOT in self.needs

    @property
    def anew(self) -> tuple[Statement, ...]:
        """What makes it anew."""
        return self.create + self.restore

    @property
    def own_key(self) -> Key:
        """What tells it apart from all others."""
        if self.key and self.kind == self.key[0]:
            return self.key
        return (self.kind, *self.whole, self.part, *map(str, self.details))

    @property
    def is_printed(self) -> bool:
        """Whether its definition is compared once it has been made anew."""
        return bool(self.create)

    @property
    def alone(self) -> str:
        """What creates it on temporary objects, and locks nothing that others use; else nothing."""
        return self.alone_by(self.create[0].shown) if self.create and self.definition else ""

    def alone_by(self, text: str) -> str:
        """The same, from what creates it."""
        return ""

    def stored(self, catalog: Forecast) -> Any:
        """What it is, or is a part of, as the plan has it by now."""
        return self.key and catalog.objects.get(self.key)

    def is_gone(self, catalog: Forecast) -> bool:
        """Whether the plan has removed it within its transaction."""
        if self.root or self.key not in catalog.changed:
            return False
        return self.is_missing(self.stored(catalog))

    def texts(self, stored: Any) -> Sequence[str | None] | None:
        """The texts of its declaration, which tell what it uses; None where it has none."""
        return None

    def refers(self, stored: Any, table: Name) -> bool:
        """Whether it refers to a table as the plan has it by now, without a text."""
        return False

    def is_missing(self, stored: Any) -> bool:
        """Whether what the plan has changed lacks it by now."""
        return stored is None and self.key is not None and self.kind == self.key[0]

    def is_kept(self, stored: Any) -> bool:
        """Whether what the plan has changed has it as the server has it."""
        return False

    def is_as_stored(self, catalog: Forecast) -> bool:
        """Whether the plan leaves it as the server has it, which does not know of the plan."""
        return self.key not in catalog.changed or self.is_kept(self.stored(catalog))

    def stops(self, table: Name, columns: AbstractSet[str], catalog: Forecast) -> bool:
        """Whether it stands against dropping columns of a table, when the plan has run."""
        stored = self.stored(catalog)
        # What the plan changes may use them all the same.
        stays = self.key not in catalog.changed or (
            stored is not None and stored.uses(table, columns)
        )
        return self.keeps_columns and stays

    def follows(self, columns: Mapping[str, str], known: AbstractSet[str]) -> bool:
        """Whether it changes with columns themselves, or with what changes with them.

        The names of the columns are given by their ids; `known` has the ids of all of these.
        """
        return self.follows_columns and self.needs <= known

    def is_checked(self, catalog: Forecast) -> bool:
        """Whether it is checked or built for rows that are there when it is created."""
        return self.reads_rows and bool(self.drop) and self.whole in catalog.filled

    def planned(self, catalog: Forecast) -> Sequence[Statement] | None:
        """What creates it as the plan, which has changed it, has it by now.

        None where that is not known.
        """
        stored = self.stored(catalog)
        if stored is None or self.key in catalog.outdated:
            return None
        return self.planned_by(stored)

    def planned_by(self, stored: Any) -> Sequence[Statement] | None:
        """The same, from what it is, or is a part of."""
        return [next(iter(stored.diff(None, stored)))] if self.is_declared_alone else None

    def in_plan(self, defaults: Sequence[tuple[str, str]], catalog: Forecast) -> Self:
        """The same, which comes back as the plan has it by now, with its privileges."""
        create, restore, obstacle = self.create, self.restore, self.obstacle
        if self.key in catalog.changed:
            planned = self.planned(catalog)
            if planned is None:
                obstacle = (
                    "an earlier operation of this run changes it: declare this one before that"
                )
            elif self.drop:
                create = (*planned, *create[1:])
        if self.drop and self.acl and self.key:
            key = (self.acl, *self.key[1:])
            restore += tuple(granted_again(self.acl, key, defaults, catalog))
        return evolve(self, create=create, restore=restore, obstacle=obstacle)


class DependentPart(Dependent):
    """What goes with the table or view that it belongs to."""

    def alone_by(self, text: str) -> str:
        return text


class Inner(Dependent):
    """What belongs to a type by itself: a composite type's relation, a range type's functions."""

    kind = "part"
    section = OTHER
    is_inner = True


class Other(Dependent):
    """Whatever else stands in the way."""

    kind = "other"
    section = OTHER
    keeps_columns = True


def has_printed(parts: Iterable[Any] | None, name: str) -> bool:
    """Whether the part of this name has a text of the server's: otherwise it is declared anew."""
    texts = (text for each in parts or () if each.name == name for text in each.fragments)
    return any(isinstance(text, Exact) for text in texts)


def _texts(found: Any) -> Iterator[str]:
    """The texts in nested lists that also hold nothing."""
    if isinstance(found, str):
        yield found
    for one in found if isinstance(found, list) else ():
        yield from _texts(one)
