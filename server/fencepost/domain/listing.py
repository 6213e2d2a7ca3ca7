"""Filters, orders and pages of lists and logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Literal, NamedTuple, TypeVar

T = TypeVar("T")

Sort = Literal["created_at", "updated_at"]
Direction = Literal["asc", "desc"]


class LogPlace(NamedTuple):
    """A page of a log: the entries after a version if ascending, before it if descending."""

    version: int | None = None
    direction: Direction = "asc"
    size: int = 1000


class Portion(NamedTuple, Generic[T]):
    """The first items of a list, as many as fit into one answer, and whether there are more."""

    items: Sequence[T]
    more: bool


class Filter(NamedTuple):
    """The filter of a list; None matches any value."""

    ids: Sequence[str] | None = None
    include: Sequence[str] | None = None
    exclude: Sequence[str] | None = None
    statuses: Sequence[str] | None = None
    outcomes: Sequence[str] | None = None
    pattern: str | None = None
