"""What the two text formats share: the refusal, the path to the place that it is about, and which values we take.

A value is taken when Postgres can store it and every client can read it back: integers of 64 bits, finite numbers,
text without NUL and without half a surrogate pair.
"""

import json
import math
import re

INT64 = range(-(2**63), 2**63)

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_?-]{0,63}")
_LONGEST_NUMBER = 400  # characters; the longest 64-bit float written without an exponent has fewer


class BadText(ValueError):
    """A body that we do not take: `message` says why, `path` is a JSON path to the place (`$` when it is not known)."""

    def __init__(self, message: str, path: str = "$") -> None:
        super().__init__(f"{message} (at {path})")
        self.message = message
        self.path = path


def step(path: str, key: str | int) -> str:
    """Return the JSON path one key or one index further down."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if _PLAIN_KEY.fullmatch(key) else f"{path}[{shown(key)}]"


def shown(text: str) -> str:
    """Return text quoted for a message: in ASCII, so that what we refuse cannot spoil the answer, and not too long."""
    return json.dumps(text if len(text) <= 64 else f"{text[:63]}…")


def sound(text: str) -> str:
    """Return text with its surrogate pairs joined; ValueError when it holds NUL or half a pair."""
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
    """Return what a decimal numeral means; ValueError when no 64-bit integer or float can hold it."""
    digits = text.lstrip("+-")
    if digits.isdigit():
        # The length first: reading thousands of digits costs time, and Python refuses it in words of its own.
        if len(digits.lstrip("0")) > 19 or (whole := int(digits) * (-1 if text[0] == "-" else 1)) not in INT64:
            raise ValueError("an integer must lie between -2**63 and 2**63-1")
        return whole
    mantissa, _, exponent = digits.lower().partition("e")
    # jsonb writes a number out digit by digit: nine characters can become sixteen thousand, or none at all when even
    # that is too long, and one such number would fail every call that shares its statement.
    if len(digits) > _LONGEST_NUMBER or len(exponent.lstrip("+-0")) > 3:
        raise ValueError("a number must not have more digits than a 64-bit float")
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number must be finite and fit a 64-bit float")
    if value == 0 and mantissa.strip("0."):
        raise ValueError("a number must not be so small that a 64-bit float reads it as zero")
    return value
