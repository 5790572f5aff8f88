"""PostgreSQL objects as pyinfra operations.

    import pyinfra_postgres as pg

Each operation declares one object, compares it with the server's catalog and changes only what
differs. README.md, "How it works", has the rooms of the modules.

pyinfra imports this package at every start, for its connectors, whatever it is to run. So the
names are imported when the first of them is used.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .public import *  # noqa: F403
    from .public import __all__ as __all__

_FUNCTIONS = ("objects",)
"""Public names that are those of folders as well."""


def _imported() -> ModuleType:
    """The module that has them; what its import makes stays, and the collector is spared it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        return import_module(".public", __name__)
    finally:
        if enabled:
            gc.enable()


class _Package(ModuleType):
    """The package, with its public names."""

    def __getattr__(self, name: str) -> object:
        if name in _FUNCTIONS or not find_spec(f"{__name__}.{name}"):
            public = _imported()
            for one in ("__all__", *public.__all__):
                super().__setattr__(one, getattr(public, one))
        if name in vars(self):
            return vars(self)[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        # Python makes each module that it imports an attribute of its package.
        if name not in _FUNCTIONS or not isinstance(value, ModuleType):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        self.__getattr__("__all__")
        return list(super().__dir__())


sys.modules[__name__].__class__ = _Package
