"""Mutants of Python source: the text with one condition, result or default turned."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass

_TURNED: dict[type[ast.cmpop], ast.cmpop] = {
    ast.Eq: ast.NotEq(),
    ast.NotEq: ast.Eq(),
    ast.Is: ast.IsNot(),
    ast.IsNot: ast.Is(),
    ast.In: ast.NotIn(),
    ast.NotIn: ast.In(),
    ast.Lt: ast.LtE(),
    ast.LtE: ast.Lt(),
    ast.Gt: ast.GtE(),
    ast.GtE: ast.Gt(),
}
_LEFT = ("annotation", "returns", "decorator_list")


@dataclass(frozen=True)
class Mutant:
    """A file's text in which one place reads otherwise."""

    path: str
    lines: range
    """Who executes one of these lines can notice."""
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.path}:{self.changed[0]}"

    @property
    def changed(self) -> tuple[int, str]:
        """The first line that differs: its number, and how it reads now."""
        pairs = zip(self.old.splitlines(), self.new.splitlines(), strict=False)
        return next((n, new.strip()) for n, (old, new) in enumerate(pairs, 1) if old != new)

    @property
    def diff(self) -> str:
        """What differs, with three lines around."""
        old, new = self.old.splitlines(), self.new.splitlines()
        return "\n".join(difflib.unified_diff(old, new, self.path, self.path, lineterm=""))


def mutants(path: str, text: str) -> Iterator[Mutant]:
    """All mutants of a file."""
    source = text.encode()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node, lines in _places(ast.parse(text), range(1, len(starts))):
        for old, new in _changes(node):
            last = old.end_lineno or old.lineno
            begin = starts[old.lineno - 1] + old.col_offset
            end = starts[last - 1] + (old.end_col_offset or 0)
            written = ast.unparse(new)
            if isinstance(new, ast.BoolOp | ast.Compare | ast.IfExp | ast.UnaryOp):
                written = f"({written})"
            changed = b"".join((source[:begin], written.encode(), source[end:])).decode()
            yield Mutant(path, lines or range(old.lineno, last + 1), text, changed)


def _places(node: ast.AST, lines: range) -> Iterator[tuple[ast.AST, range]]:
    """The nodes that may change, with the lines that tell who notices; none are a node's own.

    What runs when a module is imported is noticed by who uses the function, or the module.
    """
    for name, value in ast.iter_fields(node):
        if name in _LEFT or (isinstance(node, ast.keyword) and node.arg == "kw_only"):
            continue
        within = lines
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            whole = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            within = range(0) if name == "body" else whole
        for child in value if isinstance(value, list) else [value]:
            # Before Python 3.12 the places within an f-string are wrong.
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
                yield child, within
                yield from _places(child, within)


def _changes(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, ast.expr | ast.stmt]]:
    """What of a node may be replaced, and what takes its place."""
    match node:
        case ast.If(test=test, body=[first, *_]):
            yield from _negated(test)
            if not node.orelse and not isinstance(first, ast.Return):
                yield test, ast.Constant(False)
        case ast.IfExp(test=test):
            yield from _negated(test)
        case ast.match_case(guard=ast.expr() as test):
            yield from _negated(test)
            yield test, ast.Constant(True)
        case ast.comprehension(ifs=conditions):
            yield from ((test, ast.Constant(True)) for test in conditions)
        case ast.BoolOp(op=op, values=values):
            yield node, ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for number in range(len(values)):
                rest = [*values[:number], *values[number + 1 :]]
                yield node, ast.BoolOp(op, rest) if len(rest) > 1 else rest[0]
        case ast.Compare(ops=[op]) if type(op) in _TURNED:
            yield node, ast.Compare(node.left, [_TURNED[type(op)]], node.comparators)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, operand
        case ast.Return():
            yield node, ast.Pass()
        case ast.Expr(value=ast.Yield() | ast.YieldFrom()):
            yield node, ast.Expr(ast.YieldFrom(ast.Tuple([], ast.Load())))
        case ast.Constant(value=bool(value)):
            yield node, ast.Constant(not value)


def _negated(test: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    """A condition and its opposite, unless another change makes that."""
    match test:
        case ast.UnaryOp(op=ast.Not()):
            return
        case ast.Compare(ops=[ast.Eq() | ast.NotEq() | ast.Is() | ast.IsNot()]):
            return
        case ast.Compare(ops=[ast.In() | ast.NotIn()]):
            return
    yield test, ast.UnaryOp(ast.Not(), test)
