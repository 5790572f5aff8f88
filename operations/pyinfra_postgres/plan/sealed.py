"""JSON under an id: a digest of all the rest. It tells of an edit by accident, and proves nothing.

Pure. What is the same is the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import HostError
from ..foreign import ForeignError, parsed, unambiguous

Json = dict[str, Any]
_T = TypeVar("_T")


def digest(value: Any) -> str:
    """What tells one JSON value from another."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(said: Json) -> str:
    """The text of what is said, under its id."""
    return json.dumps({"id": digest(said), **said}, indent=2) + "\n"


def unsealed(
    text: str, what: str, objection: Callable[[Any], str], build: Callable[[str, Json], _T]
) -> _T:
    """What is built from an id and what is said under it. Raises HostError where that is no `what`.

    `objection` says what is wrong with a format's version, "" for nothing.
    """
    try:
        said = parsed(text, object_pairs_hook=unambiguous)
        if wrong := objection(said["format_version"]):
            raise HostError(wrong)
        id_ = said.pop("id")
        if id_ != digest(said):
            raise HostError("it has been edited: it is not what its id says")
        return build(id_, said)
    except ForeignError as error:
        raise HostError(f"it is {error}") from None
    except (LookupError, TypeError, ValueError, AttributeError):
        raise HostError(f"it is no {what} of pyinfra-postgres") from None
