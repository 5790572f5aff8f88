"""Functions and procedures: CREATE FUNCTION, ALTER FUNCTION, DROP FUNCTION.

https://www.postgresql.org/docs/current/sql-createfunction.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, Self

from attrs import evolve, field, fields_dict, frozen

from ...catalog.catalog import Forecast
from ...catalog.entry import Key
from ...comparison.asking import Ask, Same, Signature
from ...errors import DeclarationError
from ...hidden import taken
from ...plan.plan import Statement
from ...syntax import given
from ...syntax.fragments import Rule
from ...syntax.names import (
    Exact,
    Name,
    identifier,
    optional_identifier,
    optional_name,
    parse_name,
    quoted,
)
from ...syntax.parse import Node, Reference, references, statements, tokens, type_references
from ...syntax.paths import SearchPath
from ..dependents import Remade, of_function
from ..fitting import Ground, fitting
from ..kind import Object, comment, either, owner, owner_references, schema_of
from . import search_paths
from .settings import names_in, parse_settings, same_settings, setting_sql
from .signatures import Argument, identity, implied, parse_arguments, return_type, written

_VOLATILITIES = ("VOLATILE", "STABLE", "IMMUTABLE")
_PARALLELS = ("UNSAFE", "RESTRICTED", "SAFE")


_ESTIMATES = (1e-30, 1e30)
"""The lowest and the highest cost and number of rows: PostgreSQL keeps them in four bytes."""
_SQL_BODY = Rule(
    "body",
    "CREATE FUNCTION f() RETURNS void LANGUAGE sql {}",
    "RETURN 1",
    "sql_body",
    "it as in SQL, like RETURN a + b or BEGIN ATOMIC ... END",
)


def _volatility(text: str) -> str:
    return given.word("volatility", text, _VOLATILITIES)


def _parallel(text: str) -> str:
    return given.word("parallel", text, _PARALLELS)


def _cost(value: float | None) -> float | None:
    return None if value is None else given.real("cost", value, *_ESTIMATES)


def _rows(value: float | None) -> float | None:
    return None if value is None else given.real("rows", value, *_ESTIMATES)


@frozen
class FunctionDetails:
    """What a catalog knows of a function beside what may be declared."""

    kept: tuple[str, ...] = ()
    """The clauses that replacing it would reset."""


class FunctionFacts(NamedTuple):
    """What is known of a change of a function."""

    kept: tuple[str, ...] = ()
    """The clauses that can't be declared, and that replacing it would reset."""
    remade: Remade | None = None
    """How it is dropped and created, where it can't be replaced."""


_USUAL = FunctionFacts()


@frozen
class Function(Object):
    """A function, told apart by its name and the types of its arguments."""

    kind: ClassVar[str] = "function"
    word: ClassVar[str] = "functions"
    acl: ClassVar[str] = "FUNCTION"
    essence: ClassVar[str] = "body"
    gives_meaning: ClassVar[bool] = True

    name: Name = field(converter=parse_name)
    arguments: tuple[Argument, ...] = field(default=(), converter=parse_arguments)
    returns: str | None = field(default=None, converter=return_type, kw_only=True)
    language: str = field(default="sql", converter=identifier, kw_only=True)
    body: str | None = field(default=None, converter=taken, kw_only=True)
    volatility: str = field(default="VOLATILE", converter=_volatility, kw_only=True)
    parallel: str = field(default="UNSAFE", converter=_parallel, kw_only=True)
    strict: bool = field(default=False, kw_only=True)
    security_definer: bool = field(default=False, kw_only=True)
    leakproof: bool = field(default=False, kw_only=True)
    cost: float | None = field(default=None, converter=_cost, kw_only=True)
    rows: float | None = field(default=None, converter=_rows, kw_only=True)
    settings: dict[str, str] = field(default=None, converter=parse_settings, kw_only=True)
    owner: Exact | None = field(default=None, converter=optional_identifier, kw_only=True)
    comment: str | None = field(default=None, kw_only=True)
    renamed_from: Name | None = field(default=None, converter=optional_name, eq=False, kw_only=True)

    def key(self) -> Key:
        return (self.kind, *self.name, identity(self.arguments))

    @property
    def title(self) -> str:
        return f"{self.kind} {self.signature}"

    @property
    def address(self) -> str:
        return f"{self.acl} {self.signature}"

    @property
    def is_in_sql(self) -> bool:
        """Whether PostgreSQL can read its body when it is created."""
        return self.language == "sql"

    @property
    def has_sql_body(self) -> bool:
        """Whether the body is parsed when it is created: `RETURN ...` or `BEGIN ATOMIC ... END`."""
        if self.language != "sql" or not self.body:
            return False
        if isinstance(self.body, Exact):
            return True  # As the server prints it, which is not always SQL.
        try:
            words = [one.text for one in tokens(self.body)]
        except DeclarationError:
            return False  # PostgreSQL will say what is wrong with it.
        return words[:1] == ["return"] or words[:2] == ["begin", "atomic"]

    @property
    def signature(self) -> str:
        """Its name and the types of its arguments."""
        return f"{self.name}({identity(self.arguments)})"

    def lines(self) -> Iterator[str]:
        arguments = f"({', '.join(map(written, self.arguments))})"
        yield arguments if self.returns is None else f"{arguments} returns {self.returns}"
        yield f"language {self.language}"
        yield self.volatility.lower()
        yield f"parallel {self.parallel.lower()}"
        for name in ("cost", "rows"):
            if getattr(self, name) is not None:
                yield f"{name} {getattr(self, name):.9g}"
        for name in ("strict", "security_definer", "leakproof"):
            if getattr(self, name):
                yield name.replace("_", " ")
        for name, value in self.settings.items():
            yield f"set {name} to {value!r}"
        for line in (self.body or "").strip("\n").split("\n"):
            yield f"| {line}"
        if self.owner:
            yield f"owner {quoted(self.owner)}"
        if self.comment:
            yield f"comment {self.comment!r}"

    def brief(self) -> str:
        return ", ".join(line for line in self.lines() if not line.startswith("|"))

    def validate(self, present: bool) -> None:
        if self.has_sql_body:
            self._parsed_body()

    def requires(self) -> Iterator[Reference]:
        yield from schema_of(self.name)
        yield from owner_references(self.owner)
        for one in self.arguments:
            yield from type_references(one.type)
        plain = re.match(r"(?!TABLE\()(?:SETOF )?(.*)", self.returns or "")
        if plain and plain[1]:
            yield from type_references(plain[1])
        # PostgreSQL looks into the bodies of SQL functions, and not into those of others.
        if self.language == "sql" and self.body and "search_path" not in self.settings:
            own = Reference("function", self.name)
            for reference in references(list(self._parsed_body())):
                if reference not in {own, Reference("function", Name("", self.name.name))}:
                    yield reference

    def mentions(self) -> Iterator[Reference]:
        if self.language in {"sql", "c", "internal"} or isinstance(self.body, Exact):
            return
        try:
            words = ["", "", *(one.text for one in tokens(self.body or ""))]
        except DeclarationError:
            return  # It is no SQL.
        for schema, dot, name, after in zip(words, words[1:], words[2:], words[3:], strict=False):
            if after == "(" and name.isidentifier():
                yield Reference("function", Name(schema if dot == "." else "", name))

    def _parsed_body(self) -> tuple[Node, ...]:
        if self.has_sql_body:
            return (_SQL_BODY.read(self.body),)
        return statements(self.body or "")

    def provides(self) -> Iterator[Reference]:
        yield Reference("function", self.name)

    def openings(self, current: Self | None, catalog: Forecast) -> Iterator[str]:
        # Who declares the owner alone says with whose rights it runs as it is.
        one = current if self.is_beside and self.owner else self
        if one and one.security_definer:
            path = one.settings.get("search_path")
            owner = self.owner or (current and current.owner) or catalog.role
            names = None if path is None else names_in(path)
            yield from search_paths.openings(names, owner, catalog)

    def completed(self, catalog: Forecast, same: Same) -> Self:
        if self.body is None:
            raise DeclarationError("it does not exist: declare its body")
        return evolve(
            self, returns=self._result(), **estimates(self.cost, self.rows, self.language)
        )

    def _result(self) -> str | None:
        return self.returns or implied(self.arguments)

    def aligned(self, current: Self, same: Same, catalog: Forecast) -> Self:
        arguments = self.arguments
        if len(arguments) == len(current.arguments):
            arguments = tuple(
                one._replace(default=other.default)
                if same(f"SELECT CAST(({{}}) AS {one.type})", one.default, other.default)
                else one
                for one, other in zip(arguments, current.arguments, strict=True)
            )
        settings = self.settings
        if same_settings(settings, current.settings):
            settings = current.settings
        return evolve(
            self,
            arguments=arguments,
            returns=self._result(),
            body=self._aligned_body(current, same),
            **estimates(
                either(self.cost, current.cost), either(self.rows, current.rows), self.language
            ),
            settings=settings,
            owner=either(self.owner, current.owner),
            comment=either(self.comment, current.comment),
        )

    def used_by(self, catalog: Forecast, ask: Ask) -> list[str]:
        return of_function(self.signature, catalog, ask).users(self.name, catalog)

    def facts(
        self,
        current: Function | None,
        target: Function | None,
        catalog: Forecast,
        same: Same,
        ask: Ask | None,
    ) -> FunctionFacts | None:
        if current is None or target is None:
            return None
        kept = catalog.details_of(current, FunctionDetails).kept
        if ask is None or _replaceable(current, target):
            return FunctionFacts(kept)
        return FunctionFacts(kept, target._remade(current, catalog, ask))

    def _remade(self, current: Function, catalog: Forecast, ask: Ask) -> Remade:
        """How it is dropped and created. Raises DeclarationError where that can't be."""
        found = of_function(current.signature, catalog, ask).left
        checked = [one.title for one in found.all if one.is_checked(catalog)]
        if checked:
            raise DeclarationError(
                f"PostgreSQL has to drop and create it, and it is used by {', '.join(checked)}, "
                "which would be checked or built anew for all rows: change that before"
            )
        ground = Ground(_bare(current), _bare(self), functions=frozenset({self.name}))
        return Remade.of(fitting(found, ground, ask))

    def made_anew(self, stored: Sequence[Statement], catalog: Forecast) -> Iterator[Statement]:
        _, *rest = super().made_anew(stored, catalog)
        yield _created(self, catalog.details_of(self, FunctionDetails).kept)
        yield from rest

    def _aligned_body(self, current: Self, same: Same) -> str | None:
        if self.body is None or not (self.has_sql_body and current.has_sql_body):
            return either(self.body, current.body)
        # Without the defaults, which are compared by themselves.
        arguments = ", ".join(
            written(one._replace(default=None)) for one in self.arguments if one.mode != "table"
        )
        # A procedure is read as a function, which has a result.
        result = self._result() or implied(self.arguments)
        # Of the same name, since a body may qualify its arguments with it.
        signature = Signature(quoted(self.name.name), f"({arguments}) RETURNS {result}")
        equal = same("{}", self.body, current.body, signature=signature)
        return current.body if equal else self.body

    @staticmethod
    def diff(
        current: Function | None, declared: Function | None, facts: FunctionFacts = _USUAL
    ) -> Iterator[Statement]:
        """CREATE, replace in place or DROP a function.

        Another return type, or other names of arguments, need it to be dropped and created, with
        what depends on it.
        """
        if declared is None:
            assert current
            yield Statement(f"DROP {current.acl} {current.signature}")
            return
        target = f"{declared.acl} {declared.signature}"
        if current is None:
            yield _created(declared, facts.kept)
        elif evolve(current, owner=declared.owner, comment=declared.comment) != declared:
            remade = None if _replaceable(current, declared) else facts.remade or Remade()
            if remade:
                yield from remade.dependents.dropped()
                yield Statement(f"DROP {current.acl} {current.signature}")
            yield _created(declared, facts.kept)
            yield from remade.restored if remade else ()
        yield from owner(target, current, declared)
        yield from comment(target, current, declared)


def _bare(one: Function) -> tuple[str, ...]:
    """What creates a temporary function of the same name, arguments and result."""
    bare = evolve(
        one,
        name=Name("pg_temp", one.name.name),
        language="plpgsql",
        body="BEGIN END",
        settings={},
        leakproof=False,
    )
    create = _created(bare)
    return create.path.local, create.sql, SearchPath.OWN.local


@frozen  # for what it checks once it is made
class Procedure(Function):
    """A procedure."""

    kind: ClassVar[str] = "procedure"
    acl: ClassVar[str] = "PROCEDURE"
    gives_meaning: ClassVar[bool] = False

    def __attrs_post_init__(self) -> None:
        given.check_plain(self.title, self)
        own = ("returns", "volatility", "parallel", "strict", "leakproof", "cost", "rows")
        for name in own:
            if getattr(self, name) != fields_dict(Function)[name].default:
                raise DeclarationError(f"{self.title}: a procedure has no {name}")

    def _result(self) -> str | None:
        return None


def _replaceable(current: Function, declared: Function) -> bool:
    def shape(one: Function) -> object:
        return one.returns, [(argument.mode, argument.type) for argument in one.arguments]

    renamed = any(
        one.name != other.name and other.name
        for one, other in zip(declared.arguments, current.arguments, strict=False)
    )
    fewer = any(
        other.default is not None and one.default is None
        for one, other in zip(declared.arguments, current.arguments, strict=False)
    )
    return shape(current) == shape(declared) and not renamed and not fewer


def _created(declared: Function, kept: Iterable[str] = ()) -> Statement:
    arguments = ", ".join(written(one) for one in declared.arguments if one.mode != "table")
    parts = [f"CREATE OR REPLACE {declared.acl} {declared.name}({arguments})"]
    if declared.returns is not None:
        parts.append(f"RETURNS {declared.returns}")
    volatility = "" if isinstance(declared, Procedure) else f" {declared.volatility}"
    parts.append(f"LANGUAGE {quoted(declared.language)}{volatility}")
    parts += [*_attributes(declared), *kept]
    for name, value in declared.settings.items():
        parts.append(setting_sql(name, value))
    if declared.has_sql_body:
        body = declared.body or ""
        # A comment at the end would swallow the semicolon that follows.
        path = SearchPath.of(body, *(one.default for one in declared.arguments))
        return Statement("\n".join([*parts, body, *([""] if "--" in body else [])]), path=path)
    tag = _tag(declared.body or "")
    # Whatever the server has of such a body is what a user wrote.
    return Statement("\n".join([*parts, f"AS {tag}{declared.body}{tag}"]), path=SearchPath.USERS)


def _attributes(declared: Function) -> Iterator[str]:
    """What is not the default; replacing a function would reset what is left out."""
    if declared.strict:
        yield "STRICT"
    if declared.security_definer:
        yield "SECURITY DEFINER"
    if declared.leakproof:
        yield "LEAKPROOF"
    if declared.parallel != "UNSAFE":
        yield f"PARALLEL {declared.parallel}"
    for name in ("cost", "rows"):
        if getattr(declared, name) is not None:
            yield f"{name.upper()} {getattr(declared, name):.9g}"


def _tag(body: str) -> str:
    tag, number = "$function$", 0
    while tag in body:
        number += 1
        tag = f"$function{number}$"
    return tag


def estimates(cost: float | None, rows: float | None, language: str) -> dict[str, Any]:
    """Its cost and rows, None where they are PostgreSQL's defaults."""
    usual = 1 if language in {"c", "internal"} else 100
    return {"cost": None if cost == usual else cost, "rows": None if rows == 1000 else rows}


_KINDS = {"function": Function, "procedure": Procedure}
