"""JSON texts in messages: checked before they are kept, off the loop when they are long."""

from __future__ import annotations

from functools import partial

from fencepost.grpc.answers import refuse
from fencepost.notation import json
from fencepost.notation.text import BadText
from fencepost.wire.beside import beside

# Bytes of what is known about one machine, as much as a request on /rpc has by default.
LONGEST_HARDWARE = 1 << 20
_DEEPEST = 64


async def json_text(text: bytes, what: str, *, most: int | None = None) -> bytes:
    """Return JSON text; refuse what is none, cannot be kept, or is longer than `most` bytes."""
    if most is not None and len(text) > most:
        refuse(f"invalid {what}: longer than {most} bytes")
    try:
        await beside(len(text), partial(json.check, text, max_depth=_DEEPEST))
    except BadText as bad:
        refuse(f"invalid {what}: {bad.message}")
    return text.strip()
