"""Definitions on the wire."""

from __future__ import annotations

from typing import Any

import orjson

from fencepost.domain.document import Definition


def definition_resource(definition: Definition) -> dict[str, Any]:
    """Convert a definition for the wire: its document, its version, and the time of its put."""
    return {
        **orjson.loads(definition.text),
        "version": definition.version,
        "meta": {"createdAt": definition.created_at},
    }
