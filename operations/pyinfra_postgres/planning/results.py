"""How operations inside a `pg.transaction()` have ended, known once the block has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pyinfra.api.operation import OperationMeta
from pyinfra.connectors.util import CommandOutput
from typing_extensions import override

from ..errors import DeclarationError, HostError
from ..plan.plan import Change, Operation


class Result(OperationMeta):
    """What an operation inside a block returns; it is part of the block's own operations."""

    def __init__(self, operation: Operation) -> None:
        super().__init__("", None)
        self.operation = operation
        self.planned: Callable[[], object] | None = None
        """Makes the plan, once the block has ended."""

    def foresee(self, changes: Sequence[Change]) -> None:
        """Know what it would change."""
        self._maybe_is_change = bool(changes)

    def complete(self, changes: Sequence[Change]) -> None:
        """Know that the block has ended well, and what it changed for this operation."""
        self._success = None  # pyinfra may have tried the block again.
        self.set_complete(True, list(changes), CommandOutput([]))

    @property
    @override
    def will_change(self) -> bool:
        """Whether the plan has a change of it."""
        # With -y pyinfra looks for changes only where somebody asks.
        if self._maybe_is_change is None and self.planned:
            try:
                self.planned()
            except HostError as error:
                raise DeclarationError(str(error)) from None
        if self._maybe_is_change is None:
            raise self._too_early()
        return self._maybe_is_change

    @override
    def _raise_if_not_complete(self) -> None:
        if not self.is_complete():
            raise self._too_early()

    def _too_early(self) -> Any:
        return DeclarationError(
            f"what {self.operation} changes is known once its pg.transaction() has ended: ask "
            "behind the block"
        )
