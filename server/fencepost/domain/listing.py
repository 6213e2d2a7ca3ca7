"""What a reader of a list may ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

Sort = Literal["created_at", "updated_at"]
Direction = Literal["asc", "desc"]


class Filter(NamedTuple):
    """Which tasks a reader wants; None is any."""

    ids: Sequence[str] | None = None
    include: Sequence[str] | None = None
    exclude: Sequence[str] | None = None
    statuses: Sequence[str] | None = None
    outcomes: Sequence[str] | None = None
    pattern: str | None = None
