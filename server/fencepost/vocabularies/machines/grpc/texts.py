"""JSON texts in messages: checked before they are kept, off the loop when they are long."""

from __future__ import annotations

from functools import partial

from fencepost.notation import json
from fencepost.notation.text import BadText
from fencepost.vocabularies.machines.grpc.answers import refuse
from fencepost.wire.beside import beside

# Bytes of what is known about one machine, as much as a request on /rpc has by default.
LONGEST_HARDWARE = 1 << 20
_DEEPEST = 64
# Messages may have 26 MiB. Of small values, as many need gigabytes while they are parsed, and the parser lets no other
# thread run; so many take a third of a second.
_MOST_VALUES = 500_000


async def json_text(text: bytes, what: str, *, most: int | None = None) -> bytes:
    """Return JSON text; refuse what is none, cannot be kept, has too many values, or is longer than `most` bytes."""
    if most is not None and len(text) > most:
        refuse(f"invalid {what}: longer than {most} bytes")
    # Commas within text count as well.
    if text.count(b",") + text.count(b"[") + text.count(b"{") > _MOST_VALUES:
        refuse(f"invalid {what}: more than {_MOST_VALUES} values")
    try:
        await beside(len(text), partial(json.check, text, max_depth=_DEEPEST))
    except BadText as bad:
        refuse(f"invalid {what}: {bad.message}")
    return text.strip()
