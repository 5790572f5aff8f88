"""The bounds of partitions: which rows they hold.

https://www.postgresql.org/docs/current/sql-createtable.html#SQL-CREATETABLE-PARTITION
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from ...comparison.asking import Ask
from ...comparison.stored import under
from ...errors import HostError
from ...syntax.fragments import Rule
from ...syntax.names import quoted
from ...syntax.parse import closing, items, sliced, tokens
from ...syntax.paths import SearchPath
from ...syntax.values import same

_INFINITE = frozenset({"minvalue", "maxvalue"})


_BOUND = Rule(
    "partition bound",
    "CREATE TABLE p PARTITION OF t {}",
    "DEFAULT",
    "partbound",
    "it as in SQL, like FOR VALUES IN ('a')",
)


@frozen
class Bound:
    """A partition's bound: its strategy, and what is in each pair of parentheses."""

    strategy: str
    lists: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Bound:
        """Read `FOR VALUES IN (...)`, `FROM (...) TO (...)`, `WITH (...)` or `DEFAULT`."""
        node = _BOUND.read(text)["CreateStmt"]["partbound"]
        if node.get("is_default"):
            return cls("default")
        if node["strategy"] == "h":
            return cls("h", ((str(node["modulus"]), str(node.get("remainder", 0))),))
        return cls(node["strategy"], tuple(_lists(text)))

    def equals(self, other: Bound, types: Sequence[str | None], ask: Ask) -> bool:
        """Whether two bounds are the same for a key of these types: the server knows."""
        if self == other:
            return True
        shapes = [[len(one) for one in bound.lists] for bound in (self, other)]
        if self.strategy != other.strategy or self.strategy in {"default", "h"}:
            return False
        if self.strategy == "l":
            mine, theirs = (_set(bound.lists[0], types[0]) for bound in (self, other))
            question = same(mine, theirs)
        elif shapes[0] != shapes[1]:
            return False
        else:
            pairs = [
                (one, two, type_)
                for ours, others in zip(self.lists, other.lists, strict=True)
                for one, two, type_ in zip(ours, others, types, strict=True)
            ]
            question = " AND ".join(_same(*pair) for pair in pairs)
        try:
            query = f"SELECT pg_catalog.to_json({question})"
            (answer,) = ask(under(SearchPath.USERS, query))
        except HostError:
            return False  # It names what is not there yet.
        return bool(answer)

    def condition(
        self, columns: Sequence[str | None], operator: Callable[[str], str]
    ) -> str | None:
        """What holds for every row, where PostgreSQL can infer the bound from it.

        `operator` gives the operators of the first column's type, by their symbols.
        """
        if len(columns) != 1 or columns[0] is None or self.strategy not in {"l", "r"}:
            return None
        column = quoted(columns[0])
        if self.strategy == "r":
            low, high = (values[0] for values in self.lists)
            parts = [f"{column} IS NOT NULL"]
            parts += [f"{column} {operator('>=')} {low}"] if low.lower() not in _INFINITE else []
            parts += [f"{column} {operator('<')} {high}"] if high.lower() not in _INFINITE else []
            return " AND ".join(parts)
        values = [one for one in self.lists[0] if one.lower() != "null"]
        among = " OR ".join(f"{column} {operator('=')} {value}" for value in values)
        if len(values) < len(self.lists[0]):
            return f"{column} IS NULL OR {among}" if values else f"{column} IS NULL"
        return f"{column} IS NOT NULL AND ({among})"


def _lists(text: str) -> Iterator[tuple[str, ...]]:
    """The texts in each pair of parentheses of a bound."""
    found = tokens(text)
    place = 0
    while place < len(found):
        if found[place].text == "(":
            yield tuple(sliced(text, one) for one in items(found, place))
            place = closing(found, place)
        place += 1


def _cast(value: str, type_: str | None) -> str:
    return f"CAST(({value}) AS {type_})" if type_ else f"({value})"


def _set(values: Sequence[str], type_: str | None) -> str:
    each = ", ".join(f"({_cast(one, type_)})" for one in values)
    return f"(SELECT pg_catalog.array_agg(DISTINCT v ORDER BY v) FROM (VALUES {each}) AS x(v))"


def _same(one: str, other: str, type_: str | None) -> str:
    if _INFINITE & {one.lower(), other.lower()}:
        return "true" if one.lower() == other.lower() else "false"
    return same(_cast(one, type_), _cast(other, type_))
