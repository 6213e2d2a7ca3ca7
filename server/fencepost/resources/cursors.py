"""Page cursors: opaque texts for the position of the next page."""

from __future__ import annotations

import base64
import binascii

import orjson

from fencepost.domain.times import utc_text
from fencepost.errors import invalid_params


def write_position(position: tuple[str, int]) -> str:
    """Return the cursor for a position (a time and a number)."""
    return base64.urlsafe_b64encode(orjson.dumps(position)).decode().rstrip("=")


def read_position(word: str | None, field: str) -> tuple[str, int] | None:
    """Return the position of a cursor from `write_position`; raise Refusal (`invalid-params` for `field`)."""
    if word is None:
        return None
    try:
        moment, number = orjson.loads(base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True))
        if not (isinstance(number, int) and abs(number) < 2**63):
            raise ValueError(number)
        return utc_text(moment), number
    except (ValueError, TypeError, binascii.Error):
        raise invalid_params("Expected the `next` of a page that came before", field) from None
