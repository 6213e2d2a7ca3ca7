"""The envelopes of calls and answers."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from fencepost.resources.error_body import Fault


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One call: a method and its params; `id` and `jsonrpc`, if present, are returned in the answer."""

    method: str
    params: Raw = Raw(b"{}")
    id: Raw | UnsetType = UNSET
    jsonrpc: Literal["2.0"] | UnsetType = UNSET


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a call: a result or an error."""

    result: Any = UNSET
    error: Fault | UnsetType = UNSET
    id: Raw | UnsetType = UNSET
    jsonrpc: Literal["2.0"] | UnsetType = UNSET


call_decoder = msgspec.json.Decoder(Call)
array_decoder = msgspec.json.Decoder(list[Call])
texts_decoder = msgspec.json.Decoder(list[Raw])
encoder = msgspec.json.Encoder()
