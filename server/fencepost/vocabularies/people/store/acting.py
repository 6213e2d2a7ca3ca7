"""Who does something to which task."""

from __future__ import annotations

from typing import NamedTuple


class Acting(NamedTuple):
    """Who does something to which task, in the name of which caller, and with which result it is completed."""

    seq: int
    id: str
    workflow_seq: int
    user: str
    caller: str
    result: bytes | None = None
