"""Parts of the OpenAPI document: references, contents, and the refusals of the catalogue by status."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from fencepost.errors import Kind

Json = dict[str, Any]

SCHEMAS = "#/components/schemas/"
JSON = ("application/json",)
JSON_OR_YAML = ("application/json", "text/yaml")

_FIELD = re.compile(r"\{(\w+)(?:!r)?\}")
_HEADERS = {
    401: {"WWW-Authenticate": {"description": "Basic, in UTF-8", "schema": {"type": "string"}}},
    405: {"Allow": {"description": "allowed methods", "schema": {"type": "string"}}},
    503: {"Retry-After": {"description": "seconds to wait before a retry, if known", "schema": {"type": "integer"}}},
}


def ref(name: str) -> Json:
    """Return a reference to a schema."""
    return {"$ref": SCHEMAS + name}


def content(schema: Json, media_types: tuple[str, ...] = JSON_OR_YAML) -> Json:
    """Return the content of a body, the same for all media types."""
    return {media_type: {"schema": schema} for media_type in media_types}


def refusals(catalogue: Sequence[Kind]) -> Json:
    """Return a response for each status of the catalogue, which lists its kinds of refusals."""
    by_status = groupby(catalogue, lambda kind: kind.status)
    return {f"Refused{status}": _refusal(status, list(kinds)) for status, kinds in by_status}


def refused(*statuses: int) -> Json:
    """Return the responses of an operation that may be refused with these statuses."""
    return {str(status): {"$ref": f"#/components/responses/Refused{status}"} for status in statuses}


def sentence(kind: Kind) -> str:
    """Return the message template of a kind, with blanks as `{name}`; empty if each refusal has its own message."""
    return "" if kind.template == "{reason}" else _FIELD.sub(r"{\1}", kind.template)


def _refusal(status: int, kinds: list[Kind]) -> Json:
    lines = [f"`{kind.type}`" + (f": {text}" if (text := sentence(kind)) else "") for kind in kinds]
    types = list(dict.fromkeys(kind.type for kind in kinds))
    error = {**ref("Fault"), "properties": {"type": {"enum": types}}}
    schema = {**ref("Refusal"), "properties": {"error": error}}
    headers = {"headers": _HEADERS[status]} if status in _HEADERS else {}
    return {"description": "\n\n".join(lines), **headers, "content": content(schema)}
