"""Two databases of the embedded server: `make server` starts it and writes where they are."""

import json
import socket
from pathlib import Path

from pyinfra.api.exceptions import InventoryError

_STATE = Path(__file__).resolve().parent.parent / ".embedded" / "server.json"

try:
    _server = json.loads(_STATE.read_text())
    with socket.socket(socket.AF_UNIX) as _client:
        _client.connect(_server["socket"])
except (OSError, ValueError) as _error:
    raise InventoryError("The embedded server is not running: run `make server`.") from _error

staging = [("@postgres/staging", {"postgres_dsn": _server["databases"]["staging"]})]
production = [("@postgres/production", {"postgres_dsn": _server["databases"]["production"]})]
