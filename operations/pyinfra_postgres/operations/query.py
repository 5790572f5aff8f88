"""A question to all hosts: `pyinfra INVENTORY pyinfra_postgres.sql "SELECT ..."`.

Called by pyinfra's command line itself, `pg.sql` answers a query with its rows. It is asked in a
transaction that can't write, while pyinfra prepares, so there is nothing to confirm; the run ends
with the answers. Anything else stays the operation that it is in a deploy.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar, cast
from weakref import WeakKeyDictionary

from attrs import frozen
from psycopg import sql
from pyinfra.api.arguments import pop_global_arguments
from pyinfra.api.host import Host
from pyinfra.api.state import State
from pyinfra.context import ctx_host

from ..comparison.calls import Calls, of_others
from ..errors import DeclarationError, HostError
from ..exits import ERROR, WELL
from ..syntax.names import literal
from ..syntax.parse import Node, split_statements, statements
from ..syntax.paths import SearchPath
from ..terminal import complain, put
from ..transport.answer import Failure, read
from ..transport.scripts import run
from ..transport.watch import Patience
from .host_rows import HostRows

P = ParamSpec("P")
T = TypeVar("T")

_COMMAND_LINE = "pyinfra_cli.util"
_READ_ONLY = "25006"
_WRITES = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
_RECORD = "pyinfra_postgres_answer"

_answers: WeakKeyDictionary[State, dict[Host, HostRows | None]] = WeakKeyDictionary()


@frozen
class Query:
    """What is asked: the columns' names come as the first row."""

    script: tuple[str, ...]
    columns: tuple[str, ...] = ()
    """The columns' names where the answer is the lines of a text."""
    path: SearchPath = SearchPath.USERS

    @classmethod
    def read(cls, text: str) -> Query | None:
        """The query in a text; None where there are other statements than queries."""
        trees = statements(text)
        if not trees:
            raise DeclarationError("there is no SQL statement")
        if not all(map(_asks, trees)):
            return None
        if len(trees) > 1:
            raise DeclarationError(f"one query at a time: these are {len(trees)}")
        (one,) = split_statements(text)
        ((kind, node),) = trees[0].items()
        path = SearchPath.USERS
        match kind:
            case "ExplainStmt":
                return cls((one,), ("QUERY PLAN",))
            case "VariableShowStmt":
                one, path = _shown(node["name"]), SearchPath.OWN
        rows = f"SELECT {json_array(_RECORD)} FROM (\n{one}\n) AS {_RECORD}"
        return cls((_names(one), rows), path=path)

    def ask(self, host: Host, patience: Patience = Patience.WORK) -> HostRows:
        """The host's answer. Raises HostError."""
        send = partial(run, host)
        calls = Calls(of_others(send, host.data.dict()), send)
        for reason in calls.objections(self.script[-1:], policies=True):
            raise HostError(reason)
        script = ["BEGIN READ ONLY", self.path.local, *self.script, "ROLLBACK"]
        answer = run(host, script, patience=lambda _: patience)
        if answer.failure:
            raise HostError(_explained(answer.failure))
        if self.columns:
            lines = "\n".join(answer.rows).splitlines()
            return HostRows(self.columns, tuple(json.dumps([line]) for line in lines))
        names, *rows = answer.rows
        return HostRows(tuple(read(names)), tuple(rows))


def _asks(tree: Node) -> bool:
    """Whether a statement is a query and nothing else."""
    ((kind, node),) = tree.items()
    if kind == "SelectStmt":
        members = node.get("withClause", {}).get("ctes", ())
        writes = any(_WRITES & set(one["CommonTableExpr"]["ctequery"]) for one in members)
        return "intoClause" not in node and not writes
    return kind in {"ExplainStmt", "VariableShowStmt"}


def _shown(name: str) -> str:
    """A query for a setting, or all of them; the search path is what a session begins with."""
    if name == "all":
        return f"SELECT name, {_VALUE} AS setting, short_desc AS description FROM {_ALL}"
    column = sql.Identifier(name).as_string()
    if name == "search_path":
        return f"SELECT {_VALUE} AS {column} FROM {_ALL} WHERE name = {literal(name)}"
    return f"SELECT current_setting({literal(name)}) AS {column}"


_VALUE = "CASE name WHEN 'search_path' THEN reset_val ELSE setting END"
_ALL = "(SELECT * FROM pg_settings ORDER BY name) AS s"


def _names(query: str) -> str:
    """The names of a query's columns, which one without rows has too."""
    return (
        f"SELECT {json_array(_RECORD, of='pg_catalog.to_json(key)')} "
        "FROM (SELECT asked.* FROM (VALUES (1)) "
        f"AS one LEFT JOIN (SELECT * FROM (\n{query}\n) AS asked LIMIT 0) AS asked ON true) "
        f"AS {_RECORD}"
    )


def json_array(record: str, of: str = "value") -> str:
    """SQL for what a record's columns hold, as a JSON array in one line.

    It stands in one statement with a user's SQL, and so under the user's search path.
    """
    return (
        f"pg_catalog.translate(coalesce((SELECT pg_catalog.json_agg({of} ORDER BY place) "
        f"FROM pg_catalog.json_each(pg_catalog.row_to_json({record})) WITH ORDINALITY "
        "AS item (key, value, place))::pg_catalog.text, '[]'), E'\\r\\n', '  ')"
    )


def _explained(failure: Failure) -> str:
    if failure.sqlstate == _READ_ONLY:
        return f"{failure}: a query asked here only reads; put what writes into a deploy"
    return f"{failure.explained}{failure.advice}"


def answers_queries(operation: Callable[P, T]) -> Callable[P, T]:
    """Have the operation answer a query that pyinfra's command line hands to it."""

    @wraps(operation)
    def decorated(*given: P.args, **keywords: P.kwargs) -> T:
        if sys._getframe(1).f_globals.get("__name__") != _COMMAND_LINE:
            return operation(*given, **keywords)
        texts, options = _as_written(given, keywords, sys.argv)
        if len(texts) != 1:
            raise DeclarationError(f"expected one query, in quotes, and found {len(texts)}")
        query = None if "unless" in options else Query.read(texts[0])
        if query is None:
            return cast(Callable[..., T], operation)(texts[0], **options)
        return cast(T, _answer(cast(Host, ctx_host.get()), query, options))

    return decorated


def _as_written(
    given: Sequence[Any], keywords: Mapping[str, Any], arguments: Sequence[str]
) -> tuple[list[str], dict[str, Any]]:
    """The texts and the options on a command line; pyinfra splits a text at its first `=`."""
    texts, options = list(map(str, given)), {}
    for key, value in keywords.items():
        if key.isidentifier():
            options[key] = value
        else:
            whole = (argument for argument in arguments if argument.startswith(f"{key}="))
            texts.append(next(whole, f"{key}={value}"))
    return texts, options


def _answer(host: Host, query: Query, options: dict[str, Any]) -> None:
    """Ask one host; the last one prints the answers of all, and ends the run."""
    state = host.state
    answers = _answers.setdefault(state, {})
    arguments, _ = pop_global_arguments(state, host, options)
    if options:
        raise DeclarationError(f"there is no argument {', '.join(options)}")
    # Only operations have them: sudo, for one.
    host.current_op_global_arguments = arguments
    try:
        answers[host] = query.ask(host)
    except HostError as error:
        answers[host] = None
        complain(host, error)
    finally:
        host.current_op_global_arguments = None
    if len(answers) == len(state.active_hosts):
        _conclude(state, answers)


def _conclude(state: State, answers: Mapping[Host, HostRows | None]) -> None:
    given = {host.name: answer for host in state.inventory if (answer := answers.get(host))}
    try:
        if "--json" in sys.argv:
            put(json.dumps({name: answer.objects() for name, answer in given.items()}))
        elif given:
            from .tabular import print_answers

            print_answers(given)
    except HostError as error:
        raise DeclarationError(str(error)) from None
    # In a greenlet this ends the program, with pyinfra's own end of connections.
    sys.exit(ERROR if state.failed_hosts or len(given) < len(answers) else WELL)
