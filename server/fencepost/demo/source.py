"""A file to import."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fencepost.errors import StartRefused

_ENCODINGS = {".ndjson": "plain", ".ndjson.gz": "gzip"}


@dataclass(frozen=True, slots=True)
class Source:
    """An NDJSON file: its display name, its URL, and the type of rows without a resourceType."""

    name: str
    url: str
    encoding: str
    resource_type: str

    @property
    def params(self) -> dict[str, Any]:
        """The params of the task that imports it."""
        return {
            "type": "aidbox",
            "contentEncoding": self.encoding,
            "input": {"url": self.url, "resourceType": self.resource_type},
        }


def source_of(path: Path, resource_type: str | None = None) -> Source:
    """Return the source for a file; the default type of its rows is the file name without the ending.

    Raises StartRefused for an ending other than `.ndjson` and `.ndjson.gz`.
    """
    # A name that is not UTF-8 is decoded for display only; the URL has its bytes.
    name = os.fsencode(path.name).decode("utf-8", "replace")
    for ending, encoding in _ENCODINGS.items():
        stem = name.removesuffix(ending)
        if stem not in (name, ""):
            return Source(name, path.resolve().as_uri(), encoding, resource_type or stem)
    raise StartRefused(f"the demo imports files that end in .ndjson or .ndjson.gz, not {path}")
