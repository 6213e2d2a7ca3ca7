"""The metadata of a version of a workflow's data. It is bounded, because it is kept for as long as the workflow.

Workers of v0.5 to v0.8 put the data itself in base64 where its checksum should be.
"""

from __future__ import annotations

from hashlib import sha256

import orjson

from fencepost.errors import invalid_params

MOST = 64 << 10
_LONGEST_TEXT = 1000


def bounded(metadata: bytes) -> bytes:
    """Return JSON text of at most 64 KiB: in a longer one a checksum stands for each long text; raise Refusal."""
    if len(metadata) <= MOST:
        return metadata
    said = orjson.loads(metadata)
    if isinstance(said, dict):
        metadata = orjson.dumps({name: _short(value) for name, value in said.items()})
    if len(metadata) > MOST:
        raise invalid_params(f"must not be longer than {MOST} bytes", "$.metadata")
    return metadata


def _short(value: object) -> object:
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return f"sha256:{sha256(value.encode()).hexdigest()} of {len(value)} characters"
    return value
