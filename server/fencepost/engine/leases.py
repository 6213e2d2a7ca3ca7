"""What a worker says of an execution that it holds, and how that goes to a statement."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import orjson


class Lease(NamedTuple):
    """Which execution of which task a worker speaks of, who speaks, and what is said: a JSON object's text."""

    id: str
    exec_id: UUID
    caller: str
    content: bytes | None = None


def fence(lease: Lease) -> dict[str, Any]:
    """Return what leads a statement to the task, and keeps it from any other execution."""
    return {"id": lease.id, "exec_id": lease.exec_id, "caller": lease.caller}


def fragment(text: bytes | None) -> orjson.Fragment | None:
    """Return JSON text as something that goes into other JSON as it stands."""
    return None if text is None else orjson.Fragment(text)
