"""Shared by the JSON and YAML readers: the error, the field in it, and the checks of values.

A value is accepted if Postgres can store it and every client can read it back: integers of 64 bits, finite numbers,
text without NUL and without half a surrogate pair.
"""

import json
import math
import re

from fencepost.errors import join_fields, path_of

INT64 = range(-(2**63), 2**63)

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_?-]{0,63}")
_LONGEST_NUMBER = 400  # characters; the longest 64-bit float without an exponent has fewer


class BadText(ValueError):
    """Text that is refused: `message` has the reason, `field` the field at fault (empty if unknown)."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(f"{message} (at {path_of(field)})")
        self.message = message
        self.field = field


def step(field: str, key: str | int) -> str:
    """Return a field extended by one key or one index."""
    if isinstance(key, int):
        return f"{field}[{key}]"
    return join_fields(field, key) if _PLAIN_KEY.fullmatch(key) else f"{field}[{shown(key)}]"


def shown(text: str) -> str:
    """Return text quoted for a message, in ASCII and cut, so that refused text cannot break the answer."""
    return json.dumps(text if len(text) <= 64 else f"{text[:63]}…")


def sound(text: str) -> str:
    """Return text with its surrogate pairs joined; raise ValueError for NUL or half of a pair."""
    if "\0" in text:
        raise ValueError("text cannot hold the character NUL")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            raise ValueError("text cannot hold half of a surrogate pair") from None
    return text


def number(text: str) -> int | float:
    """Return the value of a decimal numeral; raise ValueError if no 64-bit integer or float can hold it."""
    digits = text.lstrip("+-")
    if digits.isdigit():
        # The length is checked first: parsing thousands of digits is slow, and Python has an error of its own for it.
        if len(digits.lstrip("0")) > 19 or (whole := int(digits) * (-1 if text[0] == "-" else 1)) not in INT64:
            raise ValueError("an integer must lie between -2**63 and 2**63-1")
        return whole
    mantissa, _, exponent = digits.lower().partition("e")
    # jsonb expands exponents: nine characters can become sixteen thousand digits, or an error, and such an error would
    # fail every call that shares the statement.
    if len(digits) > _LONGEST_NUMBER or len(exponent.lstrip("+-0")) > 3:
        raise ValueError("a number must not have more digits than a 64-bit float")
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number must be finite and fit a 64-bit float")
    if value == 0 and mantissa.strip("0."):
        raise ValueError("a number must not be so small that a 64-bit float reads it as zero")
    return value
