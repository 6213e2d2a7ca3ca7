"""Reads documents from files: YAML files with one or more documents, and JSON files with one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from fencepost.domain.document import Document as Declared
from fencepost.domain.document import Documents
from fencepost.domain.schedule import ScheduleDefinition
from fencepost.domain.trigger import TriggerDefinition
from fencepost.domain.validation import refusal_of_struct
from fencepost.errors import Refusal, StartRefused, path_of
from fencepost.notation import json, yaml
from fencepost.notation.text import BadText

_ENDINGS = {".yaml", ".yml", ".json"}


class Document(NamedTuple):
    """One document: its file, its JSON text, and the parsed declaration."""

    source: str
    text: bytes
    declared: Declared


def read_documents(path: Path, documents: Documents) -> list[Document]:
    """Return the documents of a file, or of all YAML and JSON files below a folder, schedules and triggers last.

    Everything is read and checked before anything is returned; raise StartRefused that names the file, the document in
    it and the field.
    """
    try:
        files = sorted(_below(path)) if path.is_dir() else [path]
    except OSError as error:
        raise StartRefused(f"{error.filename or path}: {error.strerror}") from None
    return sorted((document for file in files for document in _read(file, documents)), key=_names_others)


def _below(path: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise error  # by default os.walk skips an unreadable folder

    for folder, _, names in os.walk(path, onerror=refuse):
        for file in (Path(folder, name) for name in names):
            if file.suffix in _ENDINGS and file.is_file():
                yield file


def _names_others(document: Document) -> bool:
    return isinstance(document.declared, ScheduleDefinition | TriggerDefinition)


def _read(file: Path, documents: Documents) -> Iterator[Document]:
    try:
        texts = _texts(file)
    except (OSError, BadText) as error:
        raise StartRefused(f"{file}: {error}") from None
    for number, text in enumerate(texts, 1):
        source = str(file) if len(texts) == 1 else f"{file}, document {number}"
        try:
            yield Document(source, text, _declared(text, documents))
        except Refusal as refusal:
            raise StartRefused(f"{source}: {refusal.message} (at {path_of(refusal.field or '')})") from None


def _texts(file: Path) -> list[bytes]:
    content = file.read_bytes()
    if file.suffix == ".json":
        json.check(content)
        return [content]
    return yaml.documents(content)


def _declared(text: bytes, documents: Documents) -> Declared:
    try:
        declared = documents.read(text)
    except msgspec.ValidationError as error:
        raise refusal_of_struct(str(error), documents.union) from None
    declared.compile()
    return declared
