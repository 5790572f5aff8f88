"""Exact comparison of declared SQL fragments with stored ones.

PostgreSQL rewrites what it stores, so texts differ where nothing does. The judge is the server
itself: it deparses both sides through the same template, in a function or a view in `pg_temp` that
is never used and always rolled back. Before that, equal texts and equal parse trees are equal, and
so is what the server has called equal before under the same conditions.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from attrs import field, mutable
from typing_extensions import override

from ..catalog.catalog import Forecast
from ..catalog.snapshot import PINS
from ..errors import DeclarationError, HostError
from ..hidden import within
from ..syntax.names import Exact, Name, quoted
from ..syntax.parse import (
    Node,
    closing,
    expression_references,
    same_expression,
    statements,
    tokens,
    tree,
)
from ..syntax.paths import SearchPath
from ..syntax.rewrite import BODY, QUERY, as_stored
from ..transport.answer import NO_PRIVILEGE, Answer, condition, is_of_sql, read
from .asking import VIEW, Reading, Same, Signature
from .verdicts import Verdicts

# Where a fragment fails with one of these, it needs something that is not there yet: it differs.
NO_COLUMN = "42703"
NO_RELATION = "42P01"
PENDING = {
    NO_COLUMN: "missing column",
    NO_RELATION: "missing relation",
    "42883": "missing function",
    "42704": "missing type",
    "3F000": "missing schema",
    "22P02": "missing label",
    "42846": "missing cast",
    "42804": "another type",
    "42P10": "another column",
}
_CHUNK = 150

_DEPARSE = """\
CREATE FUNCTION NAMESPACE.pyinfra_postgres_deparse(items jsonb) RETURNS SETOF json
LANGUAGE plpgsql AS $deparse$
DECLARE
  item record;
  command text;
  body text;
BEGIN
  FOR item IN SELECT * FROM jsonb_to_recordset(items)
                       AS x(number int, path text, name text, signature text, body text)
              ORDER BY number LOOP
    BEGIN
      IF item.signature = '' THEN
        command := 'CREATE VIEW NAMESPACE.' || item.name || ' AS ' || item.body;
      ELSE
        command := 'CREATE FUNCTION NAMESPACE.' || item.name || item.signature
          || ' LANGUAGE sql ' || item.body;
      END IF;
      -- Nothing of this function is evaluated before the path is its own again.
      IF item.path = 'public' THEN
        USERS_PATH;
      END IF;
      EXECUTE command;
      OWN_PATH;
      -- Looked up by name each time: a constant would keep the first probe's oid.
      IF item.signature = '' THEN
        body := pg_get_viewdef(to_regclass('NAMESPACE.' || item.name));
      ELSE
        body := pg_get_function_sqlbody(coalesce(to_regproc('NAMESPACE.' || item.name)::oid,
          (SELECT p.oid FROM pg_proc p WHERE p.pronamespace = to_regnamespace('NAMESPACE')
              AND 'pyinfra_postgres_probe' = ANY (p.proargnames))));
      END IF;
      RAISE EXCEPTION USING ERRCODE = 'ZZ999';
    EXCEPTION
      WHEN SQLSTATE 'ZZ999' THEN
        RETURN NEXT json_build_array(item.number, body, NULL, NULL);
      WHEN OTHERS THEN
        RETURN NEXT json_build_array(item.number, NULL, SQLSTATE, SQLERRM);
    END;
  END LOOP;
END
$deparse$""".replace("USERS_PATH", SearchPath.USERS.local).replace("OWN_PATH", SearchPath.OWN.local)
# Where no temporary objects are allowed: a schema in which the role may create, rolled back too.
_OTHER_NAMESPACE = """
    SELECT quote_ident(n.nspname) FROM pg_namespace n
     WHERE has_schema_privilege(n.oid, 'CREATE') AND has_schema_privilege(n.oid, 'USAGE')
       AND n.nspname !~ '^pg_'
     ORDER BY n.nspname <> 'public', n.nspname LIMIT 1"""
_T = TypeVar("_T")
_PROBE = Signature("pyinfra_postgres_probe", "() RETURNS void")


class Fragment(NamedTuple):
    """A text, and the template, function and search path in which it is read."""

    template: str
    text: str
    path: SearchPath
    signature: Signature | None = None
    """Of the function or view that it is the whole of; None for what shares a body."""

    @property
    def statement(self) -> str:
        """The template with the text in it, on lines of its own because of comments."""
        return self.template.replace("{}", f"\n{self.text}\n")


class Pair(NamedTuple):
    """A declared fragment and the stored one."""

    template: str
    declared: str
    stored: str
    on: Name | None
    signature: Signature | None

    def sides(self) -> tuple[Fragment, Fragment]:
        """Both sides, each under the search path that it was written for."""
        return (
            Fragment(self.template, self.declared, SearchPath.USERS, self.signature),
            Fragment(self.template, self.stored, SearchPath.OWN, self.signature),
        )


class Textual(Same):
    """Compares without the server: what it alone could tell is taken to differ."""

    @override
    def __call__(
        self,
        template: str,
        declared: str | None,
        stored: str | None,
        on: Name | None = None,
        signature: Signature | None = None,
    ) -> bool:
        if declared is None or stored is None:
            return declared is stored
        return declared == stored or same_expression(declared, stored)

    @override
    def first(self, candidates: Iterable[_T], equal: Callable[[_T], bool]) -> _T | None:
        return next(filter(equal, candidates), None)


@mutable
class Comparison:
    """Answers whether fragments are equal, and gathers those that only the server can tell."""

    catalog: Forecast
    send: Callable[[list[str]], Answer]
    pending: dict[Pair, None] = field(factory=dict)
    """In the order in which they came up."""
    errors: dict[Fragment, str] = field(factory=dict)
    """What the server said of declared fragments that it could not read."""
    asked: set[Fragment] = field(factory=set)
    """The declared fragments that somebody has asked about, who can give another set."""
    unknown: set[str] = field(factory=set)
    """The declared fragments that a standby can't judge; they count as equal."""
    namespace: str = "pg_temp"
    new: dict[Fragment, None] = field(factory=dict)
    """Declared fragments that are only read: there is nothing to compare them with."""
    lacking: dict[Fragment, tuple[str, str]] = field(factory=dict)
    """What the server says of fragments that it can't read yet, after the SQLSTATE."""
    verdicts: dict[Pair, bool] = field(factory=dict)
    """What the server has said."""
    before: Verdicts = field(factory=Verdicts)
    """What it has said in other runs."""

    def __call__(
        self,
        template: str,
        declared: str | None,
        stored: str | None,
        on: Name | None = None,
        signature: Signature | None = None,
    ) -> bool:
        """Whether they are known to be equal; what only the server can tell waits for `settle`."""
        if declared is None or stored is None:
            return declared is stored
        if declared == stored:
            return True
        pair = Pair(template, declared, stored, on, signature)
        self.asked.add(pair.sides()[0])
        if self._reads_all_of_what_changes(pair):
            return same_expression(declared, stored)
        if pair in self.verdicts:
            return self.verdicts[pair]
        if same_expression(declared, stored) or self.before.holds(self._question(pair)):
            return True
        if self.catalog.standby:
            self.unknown.add(declared)
            return True
        self._check_constants(template, declared, on, signature)
        self.pending[pair] = None
        return False

    def read(self, one: Reading) -> None:
        """Have the server read a declared fragment, where it has the relations that this names."""
        if self.is_readable(one):
            self._check_constants(one.template, one.text or "", one.on, one.signature)
            self.new[_fragment(one)] = None

    def objections(self, one: Reading) -> tuple[str, str]:
        """What the server says of a fragment that it can't read yet, after the SQLSTATE."""
        return self.lacking.get(_fragment(one), ("", "")) if self.is_readable(one) else ("", "")

    def is_readable(self, one: Reading) -> bool:
        """Whether the server has all relations that a fragment names, as they will be."""
        catalog = self.catalog
        if one.text is None or isinstance(one.text, Exact) or catalog.standby or catalog.renames:
            return False
        return all(
            name in catalog.printed and name not in catalog.created and name not in catalog.altered
            for name in _relations(one.text, one.on)
        )

    def _check_constants(
        self, template: str, text: str, on: Name | None, signature: Signature | None
    ) -> None:
        """Raise DeclarationError where the server, as it parses a fragment, may run what others
        own: constants of an array or a row have the domains in it check them.
        """
        foreign = self.catalog.foreign
        sql = template.replace("{}", f"\n{text}\n")
        if signature and signature != VIEW:
            sql = f"CREATE FUNCTION f() RETURNS void LANGUAGE sql {sql}"
        for reason in foreign.refusals(foreign.parsed(sql, on)) if foreign else ():
            raise DeclarationError(reason)

    def first(self, candidates: Iterable[_T], equal: Callable[[_T], bool]) -> _T | None:
        """The first that is equal; where there is one, the others' pairs need not be asked."""
        before = len(self.pending)
        for one in candidates:
            if equal(one):
                while len(self.pending) > before:
                    self.pending.popitem()
                return one
        return None

    def settle(self) -> bool:
        """Ask the server about what is pending; whether anything turned out equal."""
        pairs = list(self.pending)
        self.pending.clear()
        verdicts = dict(zip(pairs, self._judge(pairs), strict=True))
        self.verdicts |= verdicts
        equal = [pair for pair, same in verdicts.items() if same]
        # Of what the plan changes, the server's verdict is about what is there now.
        if not self.catalog.renames:
            lasting = (pair for pair in equal if not (self._changing(pair) or _is_hidden(pair)))
            self.before.keep(map(self._question, lasting))
        return bool(equal)

    def _changing(self, pair: Pair) -> set[Name]:
        """The relations that a pair names and the plan changes."""
        if not self.catalog.altered:
            return set()
        return _relations(pair.declared, pair.on) & self.catalog.altered

    def _reads_all_of_what_changes(self, pair: Pair) -> bool:
        """Whether a query has all columns of a relation that the plan gives others."""
        try:
            return bool(self._changing(pair)) and "'A_Star'" in repr(tree(pair.declared))
        except DeclarationError:
            return False

    def _judge(self, pairs: list[Pair]) -> Iterator[bool]:
        sides = [side for pair in pairs for side in pair.sides()]
        known = set(sides)
        self.new = {one: None for one in self.new if one not in known}
        forms = self._deparse([*sides, *self.new])
        # What still differs is read once more: dumping and restoring adds casts that a
        # second reading takes away.
        again: dict[int, tuple[Fragment, Fragment]] = {}
        for index, pair in enumerate(pairs):
            one, other = forms[2 * index], forms[2 * index + 1]
            # A whole object as the server prints it: it may not be able to read that itself.
            if one and pairs[index].signature and one == pairs[index].stored:
                forms[2 * index + 1] = other = one
            if one and other and one != other:
                again[index] = (
                    Fragment("{}", one, SearchPath.OWN, pair.signature),
                    Fragment("{}", other, SearchPath.OWN, pair.signature),
                )
        second = self._deparse([side for sides in again.values() for side in sides])
        second_of = {index: second[2 * place : 2 * place + 2] for place, index in enumerate(again)}
        for index in range(len(pairs)):
            one, other = second_of.get(index, forms[2 * index : 2 * index + 2])
            signature = pairs[index].signature
            yield bool(one and other) and (
                one == other or _relaxed(one or "", signature) == _relaxed(other or "", signature)
            )

    def _deparse(self, fragments: list[Fragment]) -> list[str | None]:
        """The server's own text of each fragment; None where it can't be read."""
        found: list[str | None] = [None] * len(fragments)
        failed: list[list[int]] = []
        for chunk, (body, _, _) in self._bodies(fragments, list(_chunks(fragments))):
            if body is None:
                failed += [[index] for index in chunk]
            for index, text in (body or {}).items():
                found[index] = text
        # One by one, so that every fragment has its own error.
        for (index,), (body, state, said) in self._bodies(fragments, failed):
            is_hidden = body is None and within(fragments[index].text)
            message = f"{condition(state)} in what is hidden" if is_hidden else said
            if body is not None:
                found[index] = body[index]
            elif fragments[index].path is not SearchPath.USERS:
                continue
            elif state in PENDING:
                self.lacking[fragments[index]] = state, message
            elif fragments[index] in self.new:
                if is_of_sql(state):
                    self.lacking[fragments[index]] = state, message
            elif state == NO_PRIVILEGE:
                raise HostError(
                    f"the server could not compare definitions: {message} (SQLSTATE {state})"
                )
            else:
                self.errors[fragments[index]] = f"{message} (SQLSTATE {state})"
        return found

    def _bodies(
        self, fragments: list[Fragment], chunks: list[list[int]]
    ) -> Iterator[tuple[list[int], tuple[dict[int, str] | None, str, str]]]:
        if not chunks:
            return
        nonce = f"m{secrets.token_hex(6)}"
        known = list(map(self._with_stored_names, fragments))
        items = [
            {"number": number, **_item([(index, known[index]) for index in chunk], nonce)}
            for number, chunk in enumerate(chunks)
        ]
        for row in map(read, self._sent(items).rows):
            number, body, state, message = row
            chunk = chunks[number]
            if body and fragments[chunk[0]].signature:
                yield chunk, ({chunk[0]: body.strip().removesuffix(";")}, "", "")
            else:
                yield chunk, (body and dict(_unmarked(body, nonce)), state or "", message or "")

    def _with_stored_names(self, one: Fragment) -> Fragment:
        """The fragment with the names that relations have until the plan has run."""
        if not self.catalog.stored:
            return one
        form = BODY if one.signature and one.signature != VIEW else QUERY
        known = as_stored(one.statement, self.catalog.server_names(), form)
        return Fragment("{}", known, one.path, one.signature)

    def _sent(self, items: list[dict[str, Any]]) -> Answer:
        if self.namespace != "pg_temp":
            items = [{**one, "signature": _distinct(one["signature"])} for one in items]
        payload = f"$json{secrets.token_hex(4)}$"
        head = [
            "BEGIN READ WRITE",
            *PINS,
            "SET LOCAL lock_timeout = '2s'",
            *self.catalog.renaming(unlocked=True),
        ]
        answer = self.send(
            [
                *head,
                _DEPARSE.replace("NAMESPACE", self.namespace),
                f"SELECT * FROM {self.namespace}.pyinfra_postgres_deparse("
                f"{payload}{json.dumps(items)}{payload}::jsonb)",
                "ROLLBACK",
            ]
        )
        if answer.failure is None:
            return answer
        remedy = ""
        lacking = answer.failure.sqlstate == NO_PRIVILEGE and answer.failure.index == len(head)
        if lacking and self.namespace == "pg_temp":
            others = self.send([_OTHER_NAMESPACE]).rows
            if others:
                self.namespace = others[0]
                return self._sent(items)
            database, role = quoted(self.catalog.database), quoted(self.catalog.role)
            remedy = f": GRANT TEMPORARY ON DATABASE {database} TO {role}"
        raise HostError(f"the server could not compare definitions: {answer.failure}{remedy}")

    def _question(self, pair: Pair) -> list[str]:
        """All that the server's answer depends on."""
        shapes = sorted(map(self.catalog.shape, _relations(pair.declared, pair.on)))
        said = [pair.template, pair.declared, pair.stored, str(pair.on)]
        said += ["of", *pair.signature] if pair.signature else ["alone"]
        return [str(self.catalog.version), self.catalog.environment, *said, *shapes]


def _fragment(one: Reading) -> Fragment:
    return Fragment(one.template, one.text or "", SearchPath.USERS, one.signature)


def _is_hidden(pair: Pair) -> bool:
    """Whether a verdict would tell who guesses it what a hidden text is: it is in no file."""
    return within(pair.declared) or within(pair.stored)


def _chunks(fragments: list[Fragment]) -> Iterator[list[int]]:
    """Which fragments share a body: those of one search path, up to a number."""
    sharing: dict[SearchPath, list[int]] = {}
    for index, fragment in enumerate(fragments):
        if fragment.signature:
            yield [index]
        else:
            sharing.setdefault(fragment.path, []).append(index)
    for indexes in sharing.values():
        for start in range(0, len(indexes), _CHUNK):
            yield indexes[start : start + _CHUNK]


def _item(chunk: list[tuple[int, Fragment]], nonce: str) -> dict[str, str]:
    """A probe for the server; marks tell its fragments apart."""
    first = chunk[0][1]
    name, signature = first.signature or _PROBE
    body = "".join(f"SELECT '{nonce}{index}' AS m; {one.statement};\n" for index, one in chunk)
    return {
        "path": first.path.value.partition(",")[0],
        "name": name,
        "signature": signature,
        "body": first.statement if first.signature else f"BEGIN ATOMIC {body}\nEND",
    }


def _distinct(signature: str) -> str:
    """A signature with one more argument: the function itself may be in the same schema."""
    if not signature or signature == _PROBE.rest:
        return signature
    found = tokens(signature)
    end = closing(found, 0)
    comma = ", " if end > 1 else ""
    place = found[end].start
    return f"{signature[:place]}{comma}pyinfra_postgres_probe tid{signature[place:]}"


def _relations(text: str, on: Name | None) -> set[Name]:
    """The relations that a fragment names, and the one whose columns it names."""
    found = {on} if on else set()
    with suppress(DeclarationError):
        found |= {one.name for one in expression_references(text) if one.kind == "table"}
    return found


def _unmarked(body: str, nonce: str) -> Iterator[tuple[int, str]]:
    """The statements of a deparsed body, by the number in the mark before each."""
    inner = body.removeprefix("BEGIN ATOMIC\n")
    inner = inner[: inner.rindex("END")]
    parts = re.split(rf"^ SELECT '{nonce}(\d+)'::text AS m;\n", inner, flags=re.M)
    for index, text in zip(parts[1::2], parts[2::2], strict=True):
        yield int(index), text.strip().rstrip(";").strip()


# What others leave behind. Dump and restore, and ALTER TYPE: a constant that was cast to varchar
# without a length and then to text is the constant cast to text. A rename of a column: the query of
# an expression keeps the old name for its result, where it means nothing.


def _relaxed(text: str, signature: Signature | None) -> Any:
    if signature and signature != VIEW:
        text = f"CREATE FUNCTION f() RETURNS void LANGUAGE sql {text}"
    return _relax(statements(text))


def _relax(node: Any) -> Any:
    if isinstance(node, list | tuple):
        return [_relax(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _relax(value) for key, value in node.items()}
    match node:
        case {"subLinkType": _, "subselect": {"SelectStmt": query}}:
            return {**node, "subselect": _without_result_names(query)}
        case {"TypeCast": {"arg": arg, "typeName": to}} if _is_type(to, "text"):
            if _is_array(to):
                elements = arg.get("A_ArrayExpr", {}).get("elements", [None])
                if all(_cast_constant(one) for one in elements):
                    texts = [_as_text(one["TypeCast"]["arg"]) for one in elements]
                    return {"A_ArrayExpr": {**arg["A_ArrayExpr"], "elements": texts}}
            elif _cast_constant(arg):
                return _as_text(arg["TypeCast"]["arg"])
            elif "A_Const" in arg:
                return _as_text(arg)
    return node


def _without_result_names(query: Node) -> Node:
    """The query of an expression, whose columns nobody can name; each part of a UNION is one."""
    query = {**query}
    for side in ("larg", "rarg"):
        if side in query:
            query[side] = _without_result_names(query[side])
    targets = [one["ResTarget"] for one in query.get("targetList", ())]
    return {**query, "targetList": [{**target, "name": None} for target in targets]}


def _as_text(constant: Node) -> Node:
    return {"TypeCast": {"arg": constant, "typeName": "text"}}


def _cast_constant(node: Any) -> bool:
    """Whether a node is a string constant cast to text, or to varchar without a length."""
    match node:
        case {"TypeCast": {"arg": {"A_Const": {"sval": _}}, "typeName": to}}:
            return to == "text" or (
                not _is_array(to) and (_is_type(to, "varchar") or _is_type(to, "text"))
            )
    return False


def _is_type(node: Any, name: str) -> bool:
    if not isinstance(node, dict) or node.get("typmods"):
        return False
    names = [part["String"]["sval"] for part in node["names"]]
    return names in ([name], ["pg_catalog", name])


def _is_array(node: Node) -> bool:
    return bool(node.get("arrayBounds"))
