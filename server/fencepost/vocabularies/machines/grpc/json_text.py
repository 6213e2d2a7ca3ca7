"""Checks JSON texts in messages, off the event loop if they are long."""

from __future__ import annotations

from functools import partial

from fencepost.notation import json
from fencepost.notation.offload import offload
from fencepost.notation.text import BadText
from fencepost.vocabularies.machines.grpc.status_codes import refuse

# Bytes of one hardware record: the default limit of a request on /rpc.
LONGEST_HARDWARE = 1 << 20
_MAX_DEPTH = 64
# 26 MiB of small values would need gigabytes, and the parser holds the GIL. This many values take a third of a second.
_MAX_VALUES = 500_000


async def checked_json(text: bytes, what: str, *, max_bytes: int | None = None) -> bytes:
    """Return JSON text without surrounding space; raise GrpcError (INVALID_ARGUMENT) if it is not JSON or too large."""
    if max_bytes is not None and len(text) > max_bytes:
        refuse(f"invalid {what}: longer than {max_bytes} bytes")
    # An upper bound: commas and brackets within strings count too.
    if text.count(b",") + text.count(b"[") + text.count(b"{") > _MAX_VALUES:
        refuse(f"invalid {what}: more than {_MAX_VALUES} values")
    try:
        await offload(len(text), partial(json.check, text, max_depth=_MAX_DEPTH))
    except BadText as bad:
        refuse(f"invalid {what}: {bad.message}")
    return text.strip()
