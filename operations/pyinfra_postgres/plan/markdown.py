"""Plans as a comment on a pull request: what is at stake first, the SQL folded away.

Pure. Names and SQL come from others: nothing in them is markup, mentions anybody, or ends a block.
https://docs.github.com/en/get-started/writing-on-github
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from ..terminal import printable, printable_lines
from .document import Document
from .plan import Action, Hazard, Stage, counted

_LONGEST = 60_000
"""Characters: GitHub takes no more than 65,536."""
_NAMED = 5
"""How many hosts, or objects, are named."""
_MOST = 20
"""How many objects are listed that wait for a phase."""


def comment(plans: Sequence[Document]) -> str:
    """The text of the comment."""
    lines = list(_hosts(plans))
    for one in plans:
        lines += _stakes(one)
        lines += _waiting(one)
    whole = [*lines, *(text for one in plans for text in _sql(one))]
    if sum(map(len, whole)) + len(whole) > _LONGEST:
        whole = [*lines, "", "The SQL is too long for a comment: it is in the files of the plan."]
    return "\n".join([*whole, ""])


def _hosts(plans: Iterable[Document]) -> Iterator[str]:
    yield f"| plan | hosts | {' | '.join(f'to {one.value}' for one in Action)} |"
    yield f"|---|---|{'---|' * len(Action)}"
    for plan in plans:
        counts = counted(change for one in plan.transactions for change in one.decoded.changes)
        numbers = " | ".join(str(counts[one]) for one in Action)
        yield f"| {_code(plan.id[:16])} | {_names(plan)} | {numbers} |"


def _names(plan: Document) -> str:
    return _listed(one.host for one in plan.databases)


def _listed(texts: Iterable[str]) -> str:
    """The first of several texts, and how many more there are."""
    every = [_code(one) for one in dict.fromkeys(texts)]
    more = [f"and {len(every) - _NAMED} more"] if len(every) > _NAMED else []
    return ", ".join([*every[:_NAMED], *more])


def _stakes(plan: Document) -> Iterator[str]:
    """What is dangerous in a plan: what it loses or does first, then what it locks."""
    hazards: dict[str, list[str]] = {}
    locks: dict[str, list[str]] = {}
    for one in plan.transactions:
        for each in one.conditional:
            hazards.setdefault("only where its _if holds", []).append(each)
        for change, statement in one.decoded.statements():
            locked = set(map(str, statement.locks))
            for note in statement.notes:
                (locks if note in locked else hazards).setdefault(note, []).append(change.title)
    if hazards or locks:
        yield from ("", f"Hazards and locks of plan {_code(plan.id[:16])}:", "")
        yield from ("| what | by |", "|---|---|")
        for note, titles in (*hazards.items(), *locks.items()):
            yield f"| {_text(note)} | {_listed(titles)} |"
    if not plan.is_whole:
        yield ""
        yield "It has hidden values, which are in no file: it can't be run from the file alone."


def _waiting(plan: Document) -> Iterator[str]:
    """What waits for runs that do a phase, with what it can do then."""
    for waiting in (each for one in plan.transactions for each in one.decoded.waiting):
        yield from ("", f"Waits for phase {_code(waiting.phase)}:", "")
        yield from ("| object | | then |", "|---|---|---|")
        told: dict[tuple[str, str], list[str]] = {}
        for change in waiting.plan.changes:
            notes = [note for one in change.statements for note in one.notes]
            told.setdefault((change.title, change.action.value), []).extend(notes)
        for (title, action), notes in list(told.items())[:_MOST]:
            yield f"| {_code(title)} | {action} | {_text(', '.join(dict.fromkeys(notes)))} |"
        if len(told) > _MOST:
            yield f"| and {len(told) - _MOST} more | | |"
        if not told:
            yield "| it can't be told yet | | |"


def _sql(plan: Document) -> Iterator[str]:
    statements = [
        statement for one in plan.transactions for _, statement in one.decoded.in_run_order()
    ]
    if not statements:
        return
    summary = f"SQL of plan {plan.id[:16]}: {len(statements)} statements"
    texts = []
    for one in statements:
        texts += [f"-- {one.stage.value} the transaction"] if one.stage is not Stage.MAIN else []
        shown = printable_lines(one.shown)
        # What is done in batches is told, and is no statement.
        is_told = Hazard.IN_BATCHES in one.hazards
        texts.append(
            "\n".join(f"-- {part}" for part in shown.split("\n")) if is_told else f"{shown};"
        )
    # Longer than any other row of them, so that nothing in between ends the block.
    fence = "`" * max([3, *(len(one) + 1 for text in texts for one in re.findall("`+", text))])
    yield from ("", f"<details><summary>{summary}</summary>", "", f"{fence}SQL", *texts, fence, "")
    yield "</details>"


def _code(text: str) -> str:
    return f"<code>{_text(text)}</code>"


def _text(text: str) -> str:
    """A text in which nothing is markup."""
    marked = re.sub(r"[\\`*_\[\]()#.!|~@:]", lambda one: f"&#{ord(one[0])};", printable(text))
    return escape(marked).replace("&amp;#", "&#")
