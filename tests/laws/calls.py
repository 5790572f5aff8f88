"""Operations to come, as data: a drawn database can be read, and printed as the deploy it is."""

from __future__ import annotations

from typing import Any

import pyinfra_postgres as pg


class Call:
    """A call of something in `pyinfra_postgres`; arguments can be calls themselves."""

    def __init__(self, function: str, /, *arguments: Any, **keywords: Any) -> None:
        self.function = function
        self.arguments = arguments
        self.keywords = keywords

    def __call__(self) -> Any:
        """What it returns."""
        keywords = {name: made(value) for name, value in self.keywords.items()}
        return getattr(pg, self.function)(*map(made, self.arguments), **keywords)

    def __repr__(self) -> str:
        keywords = (f"{name}={value!r}" for name, value in self.keywords.items())
        return f"pg.{self.function}({', '.join([*map(repr, self.arguments), *keywords])})"


def made(value: Any) -> Any:
    """A value with what the calls in it return."""
    if isinstance(value, Call):
        return value()
    return [made(one) for one in value] if isinstance(value, list) else value
