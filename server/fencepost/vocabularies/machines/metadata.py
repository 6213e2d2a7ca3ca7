"""Bounds the metadata of a version of workflow data, which is kept for as long as the workflow.

Workers of v0.5 to v0.8 put the data itself, in base64, in the place of its checksum.
"""

from __future__ import annotations

from hashlib import sha256

import orjson

from fencepost.errors import invalid_params

MAX_METADATA_BYTES = 64 << 10
_LONGEST_TEXT = 1000


def bounded_metadata(metadata: bytes) -> bytes:
    """Return metadata of at most 64 KiB of JSON: in longer metadata, a checksum replaces each long text.

    Raises Refusal (`invalid-params`) if it is still too long.
    """
    if len(metadata) <= MAX_METADATA_BYTES:
        return metadata
    members = orjson.loads(metadata)
    if isinstance(members, dict):
        metadata = orjson.dumps({name: _shortened(value) for name, value in members.items()})
    if len(metadata) > MAX_METADATA_BYTES:
        raise invalid_params(f"must not be longer than {MAX_METADATA_BYTES} bytes", "metadata")
    return metadata


def _shortened(value: object) -> object:
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return f"sha256:{sha256(value.encode()).hexdigest()} of {len(value)} characters"
    return value
