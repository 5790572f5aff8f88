"""Which of many things belong together, as what refers to what tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence


def communities(
    names: Iterable[str], pairs: Sequence[tuple[str, str]], most: int
) -> list[list[str]]:
    """Groups of at most so many names, the largest first.

    Two groups are joined while that makes pairs within groups more than chance would: the greedy
    search for modularity of Clauset, Newman and Moore, https://arxiv.org/abs/cond-mat/0408187. Few
    names are joined to others all the same.
    """
    groups = {name: [name] for name in sorted(names)}
    degrees: Counter[str] = Counter(end for pair in pairs for end in pair)
    between: Counter[tuple[str, str]] = Counter()
    for one, other in pairs:
        between[min(one, other), max(one, other)] += 1
    while between:
        gains = [
            (2 * len(pairs) * count - degrees[pair[0]] * degrees[pair[1]], pair)
            for pair, count in between.items()
            if len(groups[pair[0]]) + len(groups[pair[1]]) <= most
        ]
        wanted = [
            (-gain, pair)
            for gain, pair in gains
            if gain > 0 or min(len(groups[one]) for one in pair) <= most // 5
        ]
        if not wanted:
            break
        _, (one, other) = min(wanted)
        groups[one] += groups.pop(other)
        degrees[one] += degrees.pop(other)
        joined: Counter[tuple[str, str]] = Counter()
        for pair, count in between.items():
            left, right = (one if end == other else end for end in pair)
            if left != right:
                joined[min(left, right), max(left, right)] += count
        between = joined
    return sorted((sorted(one) for one in groups.values()), key=lambda one: (-len(one), one))
