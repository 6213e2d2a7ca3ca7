"""Decodes the params of calls, with errors that name the field."""

from __future__ import annotations

from typing import Any

import msgspec

from fencepost.domain.validation import refusal_of_struct
from fencepost.rpc.registry import Method


def read_params(method: Method, text: bytes | memoryview) -> Any:
    """Decode the params of a call of `method`; raise Refusal (`invalid-params`)."""
    try:
        return method.decoder.decode(text)
    except msgspec.ValidationError as error:
        raise refusal_of_struct(str(error), method.params) from None
