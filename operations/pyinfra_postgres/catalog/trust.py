"""Whose code SQL would have PostgreSQL run.

Pure: no I/O, no pyinfra state. What the role that deploys evaluates runs with its rights: the
functions that an expression calls, those that its operators, casts and types stand for, and what
relations have of their own: checks, defaults, indexes, triggers, the queries of views. Only names
are read here: which function of a name is called, the server alone knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from enum import IntEnum
from typing import Any, NamedTuple, Self

from attrs import define, field

from ..errors import DeclarationError
from ..syntax import plpgsql
from ..syntax.libpg_query import ParseError
from ..syntax.names import Name, literal, quoted
from ..syntax.parse import Node, is_users_type, statements, tree


class Level(IntEnum):
    """When a relation has PostgreSQL call its code."""

    ROWS = 0
    """Whenever its rows are read or checked; planning a query is enough."""
    WRITES = 1
    """When they are written."""
    POLICIES = 2
    """When row level security filters them."""


class Reach(NamedTuple):
    """Something that calls code of another role, or is such code."""

    kind: str
    """function, attribute (a function that may be called as one), operator, type, relation; caller
    for what a relation has that calls it; event for what every command calls."""
    name: Name
    level: Level
    as_owner: bool
    """Whether it belongs to another role too: indexes are built as their table's owner."""
    literals: bool
    """Whether constants that are compared with it have its code run while they are parsed."""
    code: str
    owner: str
    oid: int
    direct: bool
    """Whether it is the code itself."""
    caller: str


class Effect(NamedTuple):
    """What a statement has the relations do that it names."""

    level: Level | None = None
    """Up to which level it has their code called; None for none."""
    as_owner: bool = False
    """Whether that is called as the relations' owners."""


_NOTHING, _WRITES = Effect(), Effect(Level.WRITES)
_READS, _BUILDS = Effect(Level.ROWS), Effect(Level.ROWS, as_owner=True)
# What evaluates nothing, and names what it is about as an expression would name it.
_SILENT = frozenset(
    {
        *("GrantStmt", "GrantRoleStmt", "AlterDefaultPrivilegesStmt", "CommentStmt", "RenameStmt"),
        *("AlterOwnerStmt", "AlterObjectSchemaStmt", "DropStmt", "DropRoleStmt", "DropOwnedStmt"),
        *("LockStmt", "CreateRoleStmt", "AlterRoleStmt", "AlterRoleSetStmt", "CreateSchemaStmt"),
        *("VariableSetStmt", "VariableShowStmt", "TransactionStmt", "CreateEnumStmt"),
        *("AlterEnumStmt", "CreateSeqStmt", "AlterSeqStmt", "AlterFunctionStmt", "AlterStatsStmt"),
        *("CreateExtensionStmt", "AlterExtensionStmt", "AlterExtensionContentsStmt"),
    }
)
_EFFECTS = {
    **dict.fromkeys(
        (
            *("ViewStmt", "CreateTrigStmt", "CreatePolicyStmt", "AlterPolicyStmt", "RuleStmt"),
            *("CreateFunctionStmt", "CreateStatsStmt", "CreateDomainStmt", "CompositeTypeStmt"),
        ),
        _NOTHING,
    ),
    # PostgreSQL does these as the relation's owner, who can change nothing else meanwhile.
    **dict.fromkeys(
        ("IndexStmt", "ReindexStmt", "RefreshMatViewStmt", "ClusterStmt", "VacuumStmt"), _BUILDS
    ),
    **dict.fromkeys(("SelectStmt", "AlterTableStmt", "CreateTableAsStmt", "CreateStmt"), _READS),
}
_WRITING = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
QUERIES = frozenset({"SelectStmt", *_WRITING})
"""The statements that a function of SQL can hold, so that the server resolves them."""
# The parts of ALTER TABLE that only write the catalog.
_CATALOG_ONLY = frozenset(
    {
        *("AT_ColumnDefault", "AT_DropNotNull", "AT_SetStatistics", "AT_SetOptions"),
        *("AT_ResetOptions", "AT_SetStorage", "AT_SetCompression", "AT_DropColumn"),
        *("AT_DropConstraint", "AT_ChangeOwner", "AT_ClusterOn", "AT_DropCluster"),
        *("AT_SetRelOptions", "AT_ResetRelOptions", "AT_ReplicaIdentity", "AT_EnableRowSecurity"),
        *("AT_DisableRowSecurity", "AT_ForceRowSecurity", "AT_NoForceRowSecurity"),
        *("AT_EnableTrig", "AT_EnableAlwaysTrig", "AT_EnableReplicaTrig", "AT_DisableTrig"),
        *("AT_EnableTrigAll", "AT_DisableTrigAll", "AT_EnableTrigUser", "AT_DisableTrigUser"),
        *("AT_DropExpression", "AT_DropIdentity", "AT_SetIdentity", "AT_AlterConstraint"),
    }
)
# The operators that SQL writes as words.
_BETWEEN = (">=", "<=")
_FUNCTIONS = frozenset({"function", "attribute"})


@define
class Named:
    """The names in one statement, by what they may be, and what it does with relations."""

    effect: Effect
    in_public: bool = True
    """Whether what is named without a schema may be in `public`."""
    is_query: bool = False
    """Whether a function of SQL could hold it, so that the server resolves it without running it.
    """
    names: set[tuple[str, Name]] = field(factory=set)
    makes: tuple[str, Name] | None = None
    """What it creates or changes, and that may call what it names from then on."""
    when: Level = Level.ROWS
    """When that does."""

    def gather(self, node: Any) -> None:
        """Add the names in a parse tree."""
        if isinstance(node, list):
            for item in node:
                self.gather(item)
        elif isinstance(node, dict):
            self.names.update(_named(node))
            if not _WRITING.isdisjoint(node):
                self.effect = _WRITES
            for value in node.values():
                self.gather(value)


def _named(node: Node) -> Iterator[tuple[str, Name]]:
    """What one node of a parse tree names."""
    match node:
        case {"relname": str(name)}:
            yield "relation", Name(node.get("schemaname", ""), name)
        case {"funcname": names}:
            yield "function", _name(names)
            if is_users_type({"names": names}):
                yield "type", _name(names)  # A cast may be written so.
        case {"names": [_, *_] as names, "typemod": _} if is_users_type(node):
            yield "type", _name(names)
            if node.get("arrayBounds"):
                yield "array", _name(names)
        case {"fields": [_, *rest]} | {"indirection": rest}:
            for part in rest:
                if "String" in part:
                    yield "attribute", Name("", part["String"]["sval"])
    yield from _operators(node)


def _operators(node: Node) -> Iterator[tuple[str, Name]]:
    """The operators that one node of a parse tree names, also in words."""
    match node:
        case {"A_Expr": {"kind": str(kind)}} if "BETWEEN" in kind:
            found = [Name("", name) for name in _BETWEEN]
        case {"A_Expr": {"name": names}} | {"SubLink": {"operName": names}} | {"useOp": names}:
            found = [_name(names)]
        case {"SubLink": {"testexpr": _}} | {"CaseExpr": {"arg": _}} | {"usingClause": _}:
            found = [Name("", "=")]
        case {"isNatural": True}:
            found = [Name("", "=")]
        case {"exclusions": pairs}:
            lists = (one["List"]["items"][1]["List"]["items"] for one in pairs)
            found = [_name(names) for names in lists]
        case _:
            return
    for name in found:
        yield "operator", name


def _name(parts: list[Node]) -> Name:
    """A name, whose schema is empty where it is written without one."""
    names = [part["String"]["sval"] for part in parts if "String" in part]
    return Name(names[-2] if len(names) > 1 else "", names[-1] if names else "")


def named(script: Iterable[str], in_public: bool = True) -> Iterator[Named]:
    """What each statement of a script names; the script begins with `public` searched or not."""
    for one in (one for sql in script for one in statements(sql)):
        match one:
            case {"VariableSetStmt": {"name": "search_path", "args": args}}:
                in_public = any("'public'" in repr(arg) for arg in args)
        for found in _of_statement(one):
            found.in_public = in_public
            # Not what stands in an EXPLAIN or a block.
            found.is_query = QUERIES.issuperset(one)
            yield found


def _of_statement(one: Node) -> Iterator[Named]:
    ((kind, node),) = one.items()
    match kind:
        case kind if kind in _SILENT:
            return
        case "DoStmt":
            yield from _of_block(node)
            return
        case "ExplainStmt":
            yield from _of_statement(node["query"])
            return
        case "CreateFunctionStmt":
            node = {key: value for key, value in node.items() if key != "funcname"}
    found = Named(_effect(kind, node))
    found.gather({kind: node})
    found.makes = _made(kind, one[kind])
    found.when = _WHEN.get(kind, Level.ROWS)
    yield found


_WHEN = {
    "CreateTrigStmt": Level.WRITES,
    "RuleStmt": Level.WRITES,
    "CreatePolicyStmt": Level.POLICIES,
    "AlterPolicyStmt": Level.POLICIES,
}


def _made(kind: str, node: Node) -> tuple[str, Name] | None:
    """What a statement creates or changes that can call something."""
    match kind, node:
        case "CreateFunctionStmt", {"funcname": names}:
            return "function", _name(names)
        case "CreateDomainStmt", {"domainname": names}:
            return "type", _name(names)
        case "CompositeTypeStmt", {"typevar": relation}:
            return "type", Name(relation.get("schemaname", ""), relation["relname"])
    match node:
        case {"view": relation} | {"into": {"rel": relation}} | {"table": relation}:
            return "relation", Name(relation.get("schemaname", ""), relation["relname"])
        case {"relation": {"relname": name, **rest}}:
            return "relation", Name(str(rest.get("schemaname", "")), name)
    return None


def _effect(kind: str, node: Node) -> Effect:
    match kind:
        case "CreateTableAsStmt" if node["into"].get("skipData"):
            return _NOTHING
        case "CreateStmt" if "partbound" not in node:
            return _NOTHING
        case "AlterTableStmt" if all(map(_writes_catalog, node["cmds"])):
            return _NOTHING
    return _EFFECTS.get(kind, _WRITES)


def _writes_catalog(command: Node) -> bool:
    """Whether a part of ALTER TABLE evaluates nothing."""
    one = command["AlterTableCmd"]
    match one.get("subtype", "AT_AddColumn"):
        case "AT_AddColumn":
            return not one["def"]["ColumnDef"].get("constraints")
        case "AT_AddConstraint":
            return bool(one["def"]["Constraint"].get("skip_validation"))
        case subtype:
            return subtype in _CATALOG_ONLY


def _of_block(node: Node) -> Iterator[Named]:
    """What a DO block names; of one that can't be read nothing is known."""
    options = {item["DefElem"]["defname"]: item["DefElem"]["arg"] for item in node["args"]}
    body = literal(options["as"]["String"]["sval"])
    try:
        parsed = plpgsql.parsed(f"CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS {body}")
    except ParseError:
        return
    for text in plpgsql.texts(parsed):
        try:
            yield from named([text])
        except DeclarationError:
            found = Named(_READS)
            found.gather(tree(text))
            yield found


@define
class Foreign:
    """The code that may run as the role that deploys, of roles that it does not trust."""

    role: str = ""
    reached: dict[tuple[str, Name], list[Reach]] = field(factory=dict)
    events: list[Reach] = field(factory=list)

    @classmethod
    def read(cls, role: str, rows: Iterable[list[Any]] | None, trusted: Iterable[str]) -> Self:
        """What the server told, without the roles that are trusted by name."""
        found, known = cls(role), set(trusted)
        for kind, schema, name, level, as_owner, literals, code, owner, *rest in rows or ():
            one = Reach(
                kind, Name(schema, name), Level(level), as_owner, literals, code, owner, *rest
            )
            if owner not in known:
                found._add(one)
        return found

    def copy(self) -> Foreign:
        """The same, apart from what becomes of these."""
        reached = {key: list(found) for key, found in self.reached.items()}
        return Foreign(self.role, reached, list(self.events))

    def _add(self, one: Reach) -> None:
        if one.kind == "event":
            self.events.append(one)
        kinds = ("function", "attribute") if one.kind == "attribute" else (one.kind,)
        for kind in kinds:
            self.reached.setdefault((kind, one.name), []).append(one)

    def __bool__(self) -> bool:
        return bool(self.reached)

    def within(self, found: Named, *, policies: bool = False) -> Iterator[Reach]:
        """What a statement may have called; `policies` where row level security may filter."""
        level = found.effect.level
        if policies and level is not None:
            level = Level.POLICIES
        for kind, name in found.names:
            for one in self._known(kind, name, found):
                if kind != "relation":
                    # What evaluates nothing may name it in full: whoever wrote that meant it.
                    is_called = level is not None or not name.schema
                else:
                    is_called = level is not None and one.level <= level
                    is_called = is_called and not (found.effect.as_owner and one.as_owner)
                if is_called:
                    yield one

    def parsed(self, sql: str, on: Name | None = None) -> Iterator[Reach]:
        """What the server may call for SQL that it only parses; `on` is a relation that it names.

        A constant that is compared with an array or a row is read as one then.
        """
        for found in named([sql]):
            found.names |= {("relation", on)} if on else set()
            for kind, name in found.names:
                known = self._known("type" if kind == "array" else kind, name, found)
                yield from (one for one in known if one.literals or kind == "array")

    def _known(self, kind: str, name: Name, found: Named) -> Sequence[Reach]:
        """What has a name; PostgreSQL looks among its own first, and of these may find no other."""
        is_own = kind == "relation" and name.name.startswith("pg_")
        if not name.schema and (is_own or not found.in_public):
            return ()
        return self.reached.get((kind, Name(name.schema or "public", name.name)), ())

    def note(
        self, found: Named, owner: str | None = None, others: Set[Reach] = frozenset()
    ) -> None:
        """What a statement makes calls what it names; what gets `owner` calls it as that one.

        What is there already calls what it called before as it did before; `others` are of names
        that stand for something else.
        """
        if found.makes is None:
            return
        kind, written = found.makes
        name = Name(written.schema or "public", written.name)
        codes = {one.code for one in self.reached.get((kind, name), ())}
        for one in [one for other in found.names for one in self._known(*other, found)]:
            if one.code not in codes and one not in others:
                level, as_owner = max(one.level, found.when), one.owner == owner
                self._add(
                    one._replace(kind=kind, name=name, level=level, as_owner=as_owner, direct=False)
                )

    def renamed(self, name: Any) -> None:
        """Follow what gets another name; `name` gives the new name of each."""
        known = [one for several in self.reached.values() for one in several]
        self.reached = {}
        for one in dict.fromkeys(known):
            self._add(one._replace(name=name(one.name)))

    def refusals(self, found: Iterable[Reach]) -> Iterator[str]:
        """Why what is called may not be called, once for each code."""
        told: dict[tuple[str, str], Reach] = {}
        for one in sorted(found):
            told.setdefault((one.code, one.owner), one)
        for one in told.values():
            yield (
                f"it would run {one.code}, which belongs to {quoted(one.owner)}, as "
                f"{quoted(self.role)}: {self._caller(one)}. Give it to a role that you trust, or "
                f'set postgres_trust = "{one.owner}"'
            )

    def _caller(self, one: Reach) -> str:
        if one.direct:
            return "the SQL names it"
        if one.kind != "relation":
            return f"{_SPOKEN[one.kind]} {one.name} calls it"
        callers = [each for each in self._callers() if each.code == one.code]
        own = [each for each in callers if each.name == one.name]
        if not callers:
            return f"a column of {one.name} has it"
        return f"{min(own or callers).caller} calls it"

    def _callers(self) -> Iterator[Reach]:
        for (kind, _), several in self.reached.items():
            if kind == "caller":
                yield from several


_SPOKEN = {
    "function": "function",
    "attribute": "function",
    "operator": "operator",
    "type": "type",
}
