"""Leases in calls of workers, and their statement parameters."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import orjson


class Lease(NamedTuple):
    """An execution that a worker holds, and the content of its call, a JSON object's text.

    `exec_id` is the fencing token.
    """

    id: str
    exec_id: UUID
    caller: str
    content: bytes | None = None


def fence(lease: Lease) -> dict[str, Any]:
    """Return the parameters that find the task and guard it against calls of any other execution."""
    return {"id": lease.id, "exec_id": lease.exec_id, "caller": lease.caller}


def fragment(text: bytes | None) -> orjson.Fragment | None:
    """Return JSON text as a value that orjson embeds unchanged."""
    return None if text is None else orjson.Fragment(text)
