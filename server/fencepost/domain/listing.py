"""What a reader of a list may ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Literal, NamedTuple, TypeVar

T = TypeVar("T")

Sort = Literal["created_at", "updated_at"]
Direction = Literal["asc", "desc"]


class LogPlace(NamedTuple):
    """The part of a log that a reader wants: behind a version when ascending, below it when descending."""

    version: int | None = None
    direction: Direction = "asc"
    size: int = 1000


class Portion(NamedTuple, Generic[T]):
    """The beginning of what was asked for, as much as one answer holds, and whether there is more behind it."""

    items: Sequence[T]
    more: bool


class Filter(NamedTuple):
    """Which tasks a reader wants; None is any."""

    ids: Sequence[str] | None = None
    include: Sequence[str] | None = None
    exclude: Sequence[str] | None = None
    statuses: Sequence[str] | None = None
    outcomes: Sequence[str] | None = None
    pattern: str | None = None
