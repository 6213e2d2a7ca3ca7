"""Types of members that all resources use."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Raw, UnsetType

JsonObject = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"}, description="UTC with microseconds")]


def raw(text: bytes | None) -> Raw | UnsetType:
    """Return stored JSON unchanged."""
    return UNSET if text is None else Raw(text)
