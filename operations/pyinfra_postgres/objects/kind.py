"""What every kind of object has in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import (
    Any,
    ClassVar,
    NamedTuple,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
    cast,
)

from attrs import evolve, fields

from ..catalog import renames
from ..catalog.catalog import Declared, Forecast
from ..catalog.entry import Key
from ..catalog.needs import needed
from ..catalog.renames import Rename
from ..catalog.snapshot import Snapshot
from ..comparison.asking import Ask, Reading, Same
from ..errors import DeclarationError
from ..plan.order import owner_of
from ..plan.plan import Lock, Mode, Need, Objection, Statement
from ..syntax.names import Exact, Name, literal, quoted
from ..syntax.parse import Reference, has_own_modifiers, role_references
from ..syntax.paths import SearchPath

_T = TypeVar("_T")
Row: TypeAlias = list[Any]


class SubObject(NamedTuple):
    """Something that an object holds within itself: a column, a constraint, a label."""

    kind: str
    name: str
    definition: str
    removal: Object
    """The declaration that takes it away."""
    early: bool = False
    """Whether it goes before others of its kind, because it may need them."""

    @property
    def word(self) -> str:
        """The word of `exact=` for it."""
        return f"{self.kind}s"


class Copies(NamedTuple):
    """An object and what a change makes of it, both as empty copies in `pg_temp`."""

    beside: tuple[Object, ...]
    """What stands there for others that they need."""
    before: Object
    after: Object
    facts: Any = None
    """What is known of the change from the one to the other."""

    def plain(self) -> Copies | None:
        """The same without expressions; None where nothing is left to try."""
        before, after = self.before.plain(), self.after.plain()
        return self._replace(before=before, after=after) if before and after else None


class Object:
    """An object as it is declared, or as the catalog has it.

    An attribute that is None where the field allows it is not declared: it is left as it is.
    """

    __slots__ = ()

    kind: ClassVar[str]
    acl: ClassVar[str] = ""
    """What privileges call it, where it has any."""
    relkind: ClassVar[str] = "r"
    """The letter of the relation that it provides, where it provides one."""
    is_beside_its_table: ClassVar[bool] = False
    """Whether it belongs to a table, and has a name in the schema of its own."""
    word: ClassVar[str] = ""
    """The word of `exact=` for it, where it can belong to something."""
    holds: ClassVar[tuple[str, ...]] = ()
    """What can belong to it, in the words of `exact=`."""
    exact: Any = False
    """What of that goes where nobody declares it: these words, or True where its own diff does it.
    """
    essence: ClassVar[str] = ""
    """The attribute without which only what lies beside it is declared: owner, comment."""
    runs: ClassVar[bool] = False
    """Whether it is something to do, rather than something that is."""

    asks_rows: ClassVar[bool] = False
    """Whether rows tell what there is of it, as they are when it has its turn."""
    opens: ClassVar[bool] = False
    """Whether what comes with it is known only once it is there: an extension."""
    is_ground: ClassVar[bool] = False
    """Whether others stand on it, and it on nothing but its like: a schema, a role."""
    goes_last: ClassVar[bool] = False
    """Whether all else lets go of it before it goes: a role."""
    gives_meaning: ClassVar[bool] = False
    """Whether the meaning of an expression may stand on it, though that does not name it."""
    locks_nothing: ClassVar[bool] = False
    """Whether it is changed without the lock of a relation."""

    @property
    def is_of_database(self) -> bool:
        """Whether it is about the database itself, and names it."""
        return False

    @property
    def lets_go(self) -> bool:
        """Whether it is to let go of what it names, rather than to stand on it."""
        return False

    @property
    def exists(self) -> bool:
        """Whether it is more than the absence of itself."""
        return True

    def validate(self, present: bool) -> None:
        """Raise DeclarationError where it is not to be declared, or not to be removed."""

    def key(self) -> Key:
        """What identifies it in a catalog."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """Its kind and name, for people."""
        return f"{self.kind} {'.'.join(map(quoted, self.key()[1:]))}"

    def lines(self) -> Iterator[str]:
        """Its definition, a line for each thing that can differ."""
        raise NotImplementedError

    def brief(self) -> str:
        """Its definition in one line, to recognise it by."""
        return ", ".join(self.lines())

    def requires(self) -> Iterator[Reference]:
        """What has to exist before it."""
        return iter(())

    def mentions(self) -> Iterator[Reference]:
        """What it names in a text that PostgreSQL reads only when it runs.

        That comes before it where one operation declares both, if that can be.
        """
        return iter(())

    def provides(self) -> Iterator[Reference]:
        """What exists with it."""
        return iter(())

    def takes(self) -> Iterator[Reference]:
        """The names that have to be free where it is new."""
        return (one for one in self.provides() if one.kind in {"table", "type"})

    def brings(self, current: Self) -> bool:
        """Whether others may need what it adds to the current object."""
        return True

    def lessens(self, current: Self) -> bool:
        """Whether others may have to let go before of what it takes from the current object."""
        return False

    @property
    def reshapes(self) -> bool:
        """Whether it may change what others stand on: what of them goes, then goes before."""
        return True

    def divided(self, other: Object) -> tuple[Self, Object | None]:
        """Itself without what needs another object, and that apart, where it can be apart."""
        return self, None

    def freed(self, other: Object) -> Object | None:
        """The declaration that takes away what of it needs another object, and can go before."""
        return None

    @property
    def is_whole(self) -> bool:
        """Whether it says what the object is, so that all that belongs to it can be told."""
        return not self.is_beside

    @property
    def claims(self) -> bool:
        """Whether it can be true only of an object that is there."""
        return True

    def belongs_to(self) -> Reference | None:
        """What holds it: its table, else its schema."""
        table, name = getattr(self, "table", None), getattr(self, "name", None)
        if isinstance(table, Name):
            return Reference("table", table)
        return Reference("schema", Name("", name.schema)) if isinstance(name, Name) else None

    def is_part(self, catalog: Snapshot) -> bool:
        """Whether it comes and goes with another of its kind, which tables above its own have."""
        return False

    def undeclared(self, known: Sequence[Declared]) -> Iterator[SubObject]:
        """What the object, as the catalog has it, holds and none of its declarations names."""
        return iter(())

    def expand(self, catalog: Forecast) -> Iterable[Object]:
        """The single objects that it stands for."""
        return (self,)

    @property
    def address(self) -> str:
        """What ALTER calls it."""
        return f"{self.kind.upper().replace('_', ' ')} {getattr(self, 'name', '')}"

    @property
    def locked(self) -> Lock | None:
        """The lock of a relation under which its name changes."""
        names = (one.name for one in self.provides() if one.kind == "table")
        return next((Lock(name, only=True) for name in names), None)

    def renames(self, catalog: Forecast) -> Iterator[Rename]:
        """The renames that it declares: its own, then those of its parts."""
        if getattr(self, "renamed_from", None) is not None:
            yield renames.own(self)

    def names(self) -> Iterator[Key]:
        """The keys of what it declares: its own, and those of parts that can be renamed."""
        yield self.key()

    def foretell(self, catalog: Forecast) -> None:
        """Write into the catalog what rows will have by it, before anything else is planned."""

    def find(self, catalog: Forecast, ask: Ask) -> Self | None:
        """The object as it is now."""
        found: Self | None = catalog.objects.get(self.key())
        return found

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        """Itself, with whatever equals the current object written as it is written there."""
        return self

    def facts(
        self, current: Any, target: Any, catalog: Forecast, same: Same, ask: Ask | None
    ) -> Any:
        """What `diff` has to know beside the object as it is and is to be; None for nothing.

        Without `ask` it is what the catalog tells. Raises DeclarationError where the change can't
        be.
        """
        return None

    def check_columns(self, catalog: Forecast) -> None:
        """Raise DeclarationError where it names columns that its table will not have."""

    def uses(self, table: Name, columns: AbstractSet[str]) -> bool:
        """Whether it names columns of a table, as far as it can tell."""
        return False

    def readings(self, current: Self | None) -> Iterator[Reading]:
        """What the server can read of it before the plan runs, if it has what that names."""
        return iter(())

    def openings(self, current: Self | None, catalog: Forecast) -> Iterator[str]:
        """How others could make use of it, which takes permission by its name."""
        return iter(())

    def objections(
        self, current: Self | None, facts: Any, catalog: Forecast
    ) -> Iterator[Objection]:
        """What rows that are there may say against it."""
        return iter(())

    def contradictions(self, catalog: Forecast) -> Iterator[Objection]:
        """What rows, as they are once the plan has run, may say against what it brings."""
        return iter(())

    def unfit(self, catalog: Forecast) -> Iterator[str]:
        """Why it can't be as the plan leaves it."""
        return iter(())

    def too_late(self, catalog: Forecast) -> Iterator[str]:
        """Why what changes it after the transaction would fail on what is there by then."""
        return iter(())

    def missed(self, catalog: Forecast, ask: Ask) -> list[str]:
        """What uses it once the plan has run, by which it is gone."""
        return []

    def copied(self, current: Self, facts: Any, catalog: Forecast) -> Copies | None:
        """An empty copy of the current object, and what the change would make of it.

        None where a copy would tell nothing.
        """
        return None

    def plain(self) -> Self | None:
        """A copy of it without expressions, which may come to mean something else."""
        return None

    def renamed_match(self, catalog: Forecast, same: Same) -> Self | None:
        """What is the same under another name, which nothing declares, where it does not exist."""
        return None

    def used_by(self, catalog: Forecast, ask: Ask) -> list[str]:
        """What depends on it and would stop its removal."""
        return []

    def restored(self, current: Self, catalog: Forecast) -> Self:
        """Itself as the catalog had it, where it takes the place of the current object."""
        return self

    def completed(self, catalog: Forecast, same: Same) -> Self | None:
        """Itself, with what the catalog tells of an object that does not exist yet.

        None where its absence is what is declared.
        """
        return self

    def alone(self, declared: Sequence[Object]) -> Self | None:
        """What takes away all that neither it nor others of its key declare, if it asks for that.

        `declared` is what the whole run declares of it, known only at the end of a plan.
        """
        return None

    @property
    def is_beside(self) -> bool:
        """Whether it declares only what lies beside its essence."""
        return bool(self.essence) and not getattr(self, self.essence)

    def beside(self, current: Self) -> Self:
        """The current object with what is declared beside its essence.

        Raises DeclarationError where more is declared, which would not be enough.
        """
        names = {attribute.name for attribute in fields(cast(Any, type(self)))}
        identity = {name: getattr(self, name) for name in names & _IDENTITY}
        bare = type(self)(**identity)
        given = {name for name in names - _IDENTITY if getattr(self, name) != getattr(bare, name)}
        if more := sorted(given - _BESIDE):
            raise DeclarationError(f"declare its {self.essence} too, or leave out {more[0]}")
        return cast(
            Self, evolve(cast(Any, current), **{name: getattr(self, name) for name in given})
        )

    def withdrawn(self, current: Self) -> Self | None:
        """What remains of the current object when this declaration is removed."""
        return None

    def dropped_columns(self) -> Iterator[str]:
        """The columns that it takes away of what it is about."""
        return iter(())

    def goes_with(self, table: Name, columns: AbstractSet[str]) -> bool:
        """Whether it is nothing without these columns of a table: an index of them."""
        return False

    def giving_way(self, later: Self) -> Self:
        """Itself, where a later phase of a rollout declares the same object: as that has it.

        What the later one does not declare of it stays as it is declared here.
        """
        if self.asks_rows:
            return self
        said = {
            one.alias: getattr(later, one.name)
            for one in fields(cast(Any, type(self)))
            if getattr(later, one.name) is not None and (one.name in _BESIDE or not later.is_beside)
        }
        return cast(Self, evolve(cast(Any, self), **said))

    def contradicts(self, other: Self) -> bool:
        """Whether it can't be declared present in one run with the other, of the same key."""
        return False

    def made_anew(self, stored: Sequence[Statement], catalog: Forecast) -> Iterator[Statement]:
        """What creates it, where the plan has dropped it, and gives it what it had.

        `stored` would have created it as it was, first with its definition.
        """
        create, *rest = self.diff(None, self)
        yield create
        yield from stored[1:]
        yield from rest

    def store(self, catalog: Forecast, current: Self | None, facts: Any) -> None:
        """Write itself into the catalog as it will be."""
        catalog.put(self)

    def erase(self, catalog: Forecast) -> None:
        """Remove itself, with what goes with it, from the catalog as it will be."""
        catalog.remove(self)

    def needs(self, current: Self | None, target: Self | None, catalog: Forecast) -> Iterator[Need]:
        """What the change takes and the role that deploys lacks."""
        return needed(self, current, target, catalog)

    def order(self) -> tuple[str, ...]:
        """What of it has an order that can differ."""
        return ()

    @staticmethod
    def diff(current: Any, declared: Any) -> Iterator[Statement]:
        """The statements that turn the one into the other; None is an absent object.

        A kind that has `facts` takes them as a third argument.
        """
        raise NotImplementedError


_IDENTITY = frozenset({"name", "table", "arguments"})
_BESIDE = frozenset({"owner", "comment", "enabled", "renamed_from"})


def either(declared: _T | None, current: _T | None) -> _T | None:
    """What is declared, or what is there where nothing is declared."""
    return current if declared is None else declared


def aligned_type(declared: str, current: str, same: Same) -> str:
    """A declared type, written as the stored one where it is the same.

    What a modifier of a user's type means is known to that type alone.
    """
    if declared == current or not has_own_modifiers(declared):
        return declared
    return current if same("SELECT CAST(NULL AS {})", declared, current) else declared


class Commented(Protocol):
    """What has a comment."""

    @property
    def comment(self) -> str | None:
        """The comment, None where it is not declared."""


class Owned(Protocol):
    """What has an owner."""

    @property
    def owner(self) -> Exact | None:
        """The owner, None where it is not declared."""


def comment(
    target: str, current: Commented | None, declared: Commented, table: Name | None = None
) -> Iterator[Statement]:
    """The statement that sets a comment; an empty one removes it.

    `table` is the one that it is about, or about a part of.
    https://www.postgresql.org/docs/current/sql-comment.html
    """
    before, after = current.comment if current else None, declared.comment
    if after is not None and after != (before or ""):
        yield Statement(
            f"COMMENT ON {target} IS {literal(after) if after else 'NULL'}",
            is_text=True,
            locks=table and Lock(table, Mode.SHARE_UPDATE_EXCLUSIVE, only=True),
        )


def owner(
    target: str, current: Owned | None, declared: Owned, table: Name | None = None
) -> Iterator[Statement]:
    """The statement that changes an owner, of a table or of something else."""
    before, after = current.owner if current else None, declared.owner
    if after is not None and after != before:
        locks = table and Lock(table, only=True)
        gives = frozenset({owner_of(table)} if table else ())
        yield Statement(f"ALTER {target} OWNER TO {quoted(after)}", locks=locks, gives=gives)


def guard(query: str, message: str, table: Name, path: SearchPath = SearchPath.OWN) -> Statement:
    """The statement that fails with a message where a query of a table has a row by then."""
    return Statement(
        f"DO $guard$ BEGIN IF EXISTS ({query}) THEN "
        f"RAISE EXCEPTION USING MESSAGE = {literal(message)}; END IF; END $guard$",
        path=path,
        locks=table,
    )


def owner_references(declared: str | None) -> Iterator[Reference]:
    """The role that an owner is."""
    return role_references(declared)


def schema_of(name: Name) -> Iterator[Reference]:
    """The schema that a name needs."""
    yield Reference("schema", Name("", name.schema))


def differing(
    kind: Object, current: Object | None, declared: Object | None, facts: Any
) -> Iterator[Statement]:
    """The statements that turn one object of a kind into another, in view of facts, if any."""
    return kind.diff(current, declared, *(() if facts is None else (facts,)))


def difference(current: Object | None, declared: Object | None) -> Iterator[str]:
    """The lines that only one of two definitions has, with their sign."""
    before = list(current.lines()) if current else []
    after = list(declared.lines()) if declared else []
    for line in before:
        if line not in after:
            yield f"- {line}"
    for line in after:
        if line not in before:
            yield f"+ {line}"
    old, new = (one.order() if one else () for one in (current, declared))
    if [one for one in old if one in new] != [one for one in new if one in old]:
        yield f"- in the order {', '.join(old)}"
        yield f"+ in the order {', '.join(new)}"
