"""Fragments of SQL that are more than an expression or a type: each is one rule of the grammar.

Pure: no I/O, no pyinfra state. A fragment is put into a statement that has room for just that rule.
Where anything else of the statement's parse tree is another one then, it was more than the rule.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..errors import DeclarationError
from .given import shown, text
from .parse import Node, check_names, split_statements, statement


class Rule:
    """A place in a statement, and what of the statement's parse tree is read from there."""

    def __init__(self, noun: str, template: str, sample: str, keys: str, advice: str) -> None:
        self.noun = noun
        self.template = template
        self.keys = frozenset(keys.split())
        self.advice = advice
        self.around = _without(statement(self._placed(sample)), self.keys)
        self.parse = lru_cache(maxsize=4096)(self._parse)

    def read(self, value: object) -> Node:
        """The tree of the statement with a fragment in it.

        Raises DeclarationError where that is not exactly one, saying how it is written.
        """
        return self.parse(text(f"a {self.noun}", value))

    def _parse(self, fragment: str) -> Node:
        try:
            found = statement(self._placed(fragment))
        except DeclarationError:
            raise self._refused("no", fragment) from None
        if _without(found, self.keys) != self.around:
            raise self._refused("more than one", fragment)
        check_names(fragment)
        return found

    def _refused(self, how: str, fragment: str) -> DeclarationError:
        return DeclarationError(f"{shown(fragment)} is {how} {self.noun}: write {self.advice}")

    def _placed(self, fragment: str) -> str:
        # On a line of its own, so that a comment in it ends with it.
        return self.template.replace("{}", f"\n{fragment}\n")


def single_query(value: object, what: str) -> str:
    """Check that a text is exactly one SELECT, and return it without its semicolon."""
    query = text(what, value)
    tree = statement(query)
    if set(tree) != {"SelectStmt"} or "intoClause" in tree["SelectStmt"]:
        raise DeclarationError(f"{what} must be one SELECT")
    return split_statements(query)[0]


def _without(node: Any, keys: frozenset[str]) -> Any:
    """A parse tree without what some keys hold."""
    if isinstance(node, dict):
        return {key: _without(value, keys) for key, value in node.items() if key not in keys}
    return [_without(item, keys) for item in node] if isinstance(node, list) else node
