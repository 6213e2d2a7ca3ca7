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
    """An NDJSON file: its name for people, where it is, and what its rows are when they do not say."""

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
    """Return the source that a file is, by its ending; the type of its rows is by default the file's name before that.

    Raises StartRefused for an ending that is not `.ndjson` or `.ndjson.gz`.
    """
    # A name that is no UTF-8 is still a file; the URL carries its bytes.
    name = os.fsencode(path.name).decode("utf-8", "replace")
    for ending, encoding in _ENCODINGS.items():
        stem = name.removesuffix(ending)
        if stem not in (name, ""):
            return Source(name, path.resolve().as_uri(), encoding, resource_type or stem)
    raise StartRefused(f"the demo imports files that end in .ndjson or .ndjson.gz, not {path}")
