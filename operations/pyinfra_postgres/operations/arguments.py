"""pyinfra's global arguments, as the operations of this package take them."""

from __future__ import annotations

from collections.abc import Callable

from pyinfra.api.arguments import ConnectorArguments


class Arguments(ConnectorArguments, total=False):
    """https://docs.pyinfra.com/en/3.x/arguments.html, all of them optional."""

    name: str
    _ignore_errors: bool
    _continue_on_error: bool
    _if: Callable[[], bool] | list[Callable[[], bool]]
    _serial: bool
    _run_once: bool
    _parallel: int
