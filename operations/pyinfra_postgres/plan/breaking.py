"""What a statement takes from clients that know the database as it was before.

Its syntax tree tells, so that it holds for every kind of object, and for SQL of a user's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

from ..syntax.names import Name
from ..syntax.parse import Node, dotted_name, format_type, relation_name
from .plan import Hazard

_Breaches: TypeAlias = "Iterator[Breach]"


class Breach(NamedTuple):
    """What clients may no longer find as they know it."""

    hazard: Hazard
    name: Name
    """The object, without a schema where its kind has none."""
    column: str = ""
    type: str = ""
    """The type that the column gets."""
    given: Name | None = None
    """The name that the object itself gets."""


def breaches(tree: Node) -> _Breaches:
    """What the statement with a syntax tree breaks."""
    ((kind, node),) = tree.items()
    if kind in STATEMENTS and (found := STATEMENTS[kind]):
        yield from found(node)


def created(tree: Node) -> Name | None:
    """What the statement with a syntax tree creates, where it can take the place of something."""
    ((kind, node),) = tree.items()
    match kind:
        case "CreateStmt" | "ViewStmt":
            return relation_name(next(one for one in node.values() if "relname" in one))
        case "CreateTableAsStmt":
            return relation_name(node["into"]["rel"])
        case "CreateFunctionStmt":
            return _dotted(node["funcname"])
        case "CreateEnumStmt" | "CreateRangeStmt":
            return _dotted(node["typeName"])
        case "CreateDomainStmt":
            return _dotted(node["domainname"])
    return None


_UNSEEN = frozenset(
    {
        *("OBJECT_INDEX", "OBJECT_TABCONSTRAINT", "OBJECT_DOMCONSTRAINT", "OBJECT_STATISTIC_EXT"),
        *("OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY"),
    }
)
"""What no client names."""
_VISIBLE_OPTIONS = frozenset({"security_invoker", "security_barrier"})
"""The options of a view that decide which rows it shows."""


def _dotted(parts: Iterable[Node]) -> Name:
    return dotted_name([part["String"]["sval"] for part in parts])


def _object(node: Any) -> Name:
    """The name of an object, in the forms that trees have of it."""
    match node:
        case {"String": {"sval": str(name)}}:
            return Name("", name)
        case {"List": {"items": parts}}:
            return _dotted(parts)
        case {"TypeName": {"names": parts}} | {"ObjectWithArgs": {"objname": parts}}:
            return _dotted(parts)
        case {"RangeVar": found}:
            return relation_name(found)
        case {"AccessPriv": {"priv_name": str(name)}} | {"RoleSpec": {"rolename": str(name)}}:
            return Name("", name)
    return Name("", "")


def _subject(node: Node) -> Name:
    """What a statement is about: a relation, or an object of another kind."""
    if "relation" in node:
        return relation_name(node["relation"])
    return _object(node.get("object") or {"String": {"sval": node.get("subname", "")}})


def _renamed(node: Node) -> _Breaches:
    if node["renameType"] not in _UNSEEN:
        is_part = node["renameType"] in {"OBJECT_COLUMN", "OBJECT_ATTRIBUTE"}
        name = _subject(node)
        given = None if is_part else Name(name.schema, node["newname"])
        yield Breach(Hazard.RENAMES, name, given=given)


def _moved(node: Node) -> _Breaches:
    if node["objectType"] not in _UNSEEN:
        name = _subject(node)
        yield Breach(Hazard.RENAMES, name, given=Name(node["newschema"], name.name))


def _label_renamed(node: Node) -> _Breaches:
    if "oldVal" in node:
        yield Breach(Hazard.RENAMES, _dotted(node["typeName"]))


def _dropped(node: Node) -> _Breaches:
    for one in node["objects"]:
        match node["removeType"]:
            case "OBJECT_POLICY":
                *relation, _ = one["List"]["items"]
                yield Breach(Hazard.POLICIES, _dotted(relation))
            case kind if kind not in _UNSEEN:
                yield Breach(Hazard.DROPS, _object(one))


def _roles_dropped(node: Node) -> _Breaches:
    for one in node["roles"]:
        yield Breach(Hazard.DROPS, Name("", one["RoleSpec"]["rolename"]))


def _policy_altered(node: Node) -> _Breaches:
    yield Breach(Hazard.POLICIES, relation_name(node["table"]))


def _policy_created(node: Node) -> _Breaches:
    # A permissive one shows more rows, and hides none.
    if not node.get("permissive"):
        yield Breach(Hazard.POLICIES, relation_name(node["table"]))


def _granted(node: Node) -> _Breaches:
    if not node.get("is_grant"):
        for one in node.get("objects", ()):
            yield Breach(Hazard.REVOKES, _object(one))


def _joined(node: Node) -> _Breaches:
    options = (one["DefElem"] for one in node.get("opt", ()))
    if not node.get("is_grant") or any(map(_is_switched_off, options)):
        for one in node["grantee_roles"]:
            yield Breach(Hazard.REVOKES, _object(one))


def _role_altered(node: Node) -> _Breaches:
    if any(_is_switched_off(one["DefElem"]) for one in node.get("options", ())):
        yield Breach(Hazard.REVOKES, Name("", node["role"].get("rolename", "")))


def _is_switched_off(option: Node) -> bool:
    found = option.get("arg", {}).get("Boolean")
    return found is not None and not found.get("boolval")


def _owner_changed(node: Node) -> _Breaches:
    if node["objectType"] not in _UNSEEN:
        yield Breach(Hazard.REVOKES, _subject(node))


def _unpublished(node: Node) -> _Breaches:
    if node.get("action") == "AP_DropObjects":
        yield Breach(Hazard.DROPS, Name("", node["pubname"]))


def _indexed(node: Node) -> _Breaches:
    if node.get("unique"):
        yield Breach(Hazard.RESTRICTS, relation_name(node["relation"]))


_OF_DOMAINS: dict[str, tuple[bool, Hazard]] = {
    "T": (False, Hazard.DROPS_DEFAULT),
    "N": (False, Hazard.DROPS_NOT_NULL),
    "O": (False, Hazard.RESTRICTS),
    "C": (True, Hazard.RESTRICTS),
    "X": (False, Hazard.DROPS_CONSTRAINT),
}
"""By the clause of ALTER DOMAIN: whether it breaks clients with a definition, and how."""


def _domain_altered(node: Node) -> _Breaches:
    has_definition, hazard = _OF_DOMAINS.get(node["subtype"], (None, Hazard.RESTRICTS))
    if has_definition is ("def" in node):
        yield Breach(hazard, _dotted(node["typeName"]))


def _table_altered(node: Node) -> _Breaches:
    name = relation_name(node["relation"])
    for one in (command["AlterTableCmd"] for command in node["cmds"]):
        hazard = COMMANDS.get(one["subtype"])
        hazard = hazard(one) if callable(hazard) else hazard
        if hazard is Hazard.RETYPES:
            type_ = format_type(one["def"]["ColumnDef"]["typeName"])
            yield Breach(hazard, name, one.get("name", ""), type_)
        elif hazard:
            yield Breach(hazard, name, one.get("name", ""))


def _default_changed(command: Node) -> Hazard | None:
    return None if "def" in command else Hazard.DROPS_DEFAULT


def _column_added(command: Node) -> Hazard | None:
    """One that every row has to have a value in, which clients do not give yet."""
    constraints = command["def"]["ColumnDef"].get("constraints", ())
    kinds = {one["Constraint"]["contype"] for one in constraints}
    is_given = kinds & {"CONSTR_DEFAULT", "CONSTR_IDENTITY", "CONSTR_GENERATED"}
    required = {"CONSTR_NOTNULL", "CONSTR_PRIMARY"} if not is_given else set()
    rules = {"CONSTR_UNIQUE", "CONSTR_CHECK", "CONSTR_FOREIGN"}
    return Hazard.RESTRICTS if kinds & (required | rules) else None


def _options_changed(command: Node) -> Hazard | None:
    names = {one["DefElem"]["defname"] for one in command["def"]["List"]["items"]}
    if names & _VISIBLE_OPTIONS:
        return Hazard.ROW_SECURITY
    return Hazard.RESTRICTS if "check_option" in names else None


COMMANDS: dict[str, Hazard | Callable[[Node], Hazard | None] | None] = {
    "AT_DropColumn": Hazard.DROPS,
    "AT_DetachPartition": Hazard.DROPS,
    "AT_ColumnDefault": _default_changed,
    "AT_DropIdentity": Hazard.DROPS_DEFAULT,
    "AT_DropExpression": Hazard.DROPS_DEFAULT,
    "AT_DropNotNull": Hazard.DROPS_NOT_NULL,
    "AT_DropConstraint": Hazard.DROPS_CONSTRAINT,
    "AT_AlterColumnType": Hazard.RETYPES,
    "AT_SetNotNull": Hazard.RESTRICTS,
    "AT_AddConstraint": Hazard.RESTRICTS,
    "AT_AddColumn": _column_added,
    "AT_AddIdentity": Hazard.RESTRICTS,
    "AT_SetIdentity": Hazard.RESTRICTS,
    "AT_SetExpression": Hazard.RESHAPES,
    "AT_EnableRowSecurity": Hazard.ROW_SECURITY,
    "AT_DisableRowSecurity": Hazard.ROW_SECURITY,
    "AT_ForceRowSecurity": Hazard.ROW_SECURITY,
    "AT_NoForceRowSecurity": Hazard.ROW_SECURITY,
    "AT_ChangeOwner": Hazard.REVOKES,
    "AT_SetRelOptions": _options_changed,
    "AT_ResetRelOptions": _options_changed,
    **dict.fromkeys(
        (
            *("AT_AddIndex", "AT_AttachPartition", "AT_DetachPartitionFinalize"),
            *("AT_ValidateConstraint", "AT_SetStatistics", "AT_SetStorage", "AT_SetCompression"),
            *("AT_SetOptions", "AT_ClusterOn", "AT_DropCluster", "AT_ReplicaIdentity"),
            *("AT_EnableTrig", "AT_DisableTrig", "AT_EnableAlwaysTrig", "AT_EnableReplicaTrig"),
        )
    ),
}
"""What the clauses of ALTER TABLE break; None for nothing."""
STATEMENTS: dict[str, Callable[[Node], _Breaches] | None] = {
    "RenameStmt": _renamed,
    "AlterObjectSchemaStmt": _moved,
    "AlterEnumStmt": _label_renamed,
    "DropStmt": _dropped,
    "DropRoleStmt": _roles_dropped,
    "AlterPolicyStmt": _policy_altered,
    "CreatePolicyStmt": _policy_created,
    "GrantStmt": _granted,
    "GrantRoleStmt": _joined,
    "AlterRoleStmt": _role_altered,
    "AlterOwnerStmt": _owner_changed,
    "AlterPublicationStmt": _unpublished,
    "IndexStmt": _indexed,
    "AlterDomainStmt": _domain_altered,
    "AlterTableStmt": _table_altered,
    **dict.fromkeys(
        (
            *("CreateSchemaStmt", "CreateStmt", "CreateTableAsStmt", "ViewStmt", "CreateSeqStmt"),
            *("CreateEnumStmt", "CreateRangeStmt", "CompositeTypeStmt", "CreateDomainStmt"),
            *("CreateFunctionStmt", "CreateTrigStmt", "CreateStatsStmt", "CreateExtensionStmt"),
            *("CreatePublicationStmt", "CreateRoleStmt", "AlterRoleSetStmt", "AlterSeqStmt"),
            *("AlterFunctionStmt", "AlterExtensionStmt", "AlterStatsStmt", "CommentStmt"),
            *("AlterDefaultPrivilegesStmt", "AlterObjectDependsStmt", "RefreshMatViewStmt"),
            *("VacuumStmt", "LockStmt", "VariableSetStmt", "DoStmt"),
            *("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"),
        )
    ),
}
"""What statements break; None for nothing."""
