"""Documents in files: one or several (`---` between them) in YAML, or one in JSON."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import msgspec
import orjson

from fencepost.domain.document import Document as Declared
from fencepost.domain.document import read_document
from fencepost.domain.faults import fault_of_struct
from fencepost.errors import StartRefused
from fencepost.notation import json, yaml
from fencepost.notation.text import BadText

_ENDINGS = {".yaml", ".yml", ".json"}
_BETWEEN = re.compile(rb"^---[ \t]*(?:#.*)?\r?$", re.MULTILINE)


class Document(NamedTuple):
    """One document: where it stands, and its JSON text."""

    source: str
    text: bytes

    def decode(self) -> Declared:
        """Read it; raise Refusal that names the field."""
        try:
            return read_document(self.text)
        except msgspec.ValidationError as error:
            raise fault_of_struct(str(error), Declared) from None


def read_documents(path: Path) -> list[Document]:
    """Return the documents of a file, or of every YAML and JSON file below a folder; raise StartRefused.

    Those that name others come behind all others.
    """
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in _ENDINGS and file.is_file())
    return sorted((document for file in files for document in _read(file)), key=_names_others)


def _names_others(document: Document) -> bool:
    content = orjson.loads(document.text)
    return isinstance(content, dict) and content.get("kind") in ("schedule", "trigger")


def _read(file: Path) -> list[Document]:
    try:
        content = file.read_bytes()
        if file.suffix == ".json":
            json.check(content)
            return [Document(str(file), content)]
        parts = [part for part in _BETWEEN.split(content) if part.strip()]
        return [Document(str(file), yaml.to_json(part)) for part in parts]
    except (OSError, BadText) as error:
        raise StartRefused(f"{file}: {error}") from None
