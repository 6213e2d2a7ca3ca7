"""Checks JSON text without decoding it: payloads are stored and returned as the text that was sent.

Ordinary text costs one parse, one print and a few scans in C. The scans only detect that something *might* be wrong; a
slow, exact walk then decides and finds the field. So a scan may have false positives, but no false negatives.

- Duplicate keys: the parser keeps the last one and drops the other's colon, so the text and its reprint differ in the
  number of colons. An escaped colon would distort the count and goes to the walk, as does an escaped NUL.
- Numbers: with every digit folded to 0, a numeral that is too long contains one fixed string. A quote after it
  distinguishes an id from a numeral. A numeral that is too small, and any zero with a large exponent, is reprinted as
  0.0.
- Depth: few brackets cannot nest deeply. For more, the brackets outside of strings become +1 and -1 and are summed up.
"""

import json
import re
from itertools import accumulate

import orjson

from fencepost.notation.text import BadText, number, shown, sound, step

_FOLD = bytes.maketrans(b"123456789E+", b"000000000e-")
_LONG = b"0" * 19  # 2**63 has 19 digits
_LONG_RUNS = re.compile(_LONG + rb'0*+("?)').findall
_ZERO = re.compile(rb"\.0(?<=\b0\.0)(?:[,\]}]|\Z)").search  # the literal prefix first, which `re` searches fast
_LARGE_EXPONENT = re.compile(rb"0e-?0000*+(?:[\s,\]}]|\Z)").search
_DOUBTFUL_ESCAPE = re.compile(rb"\\u00(?:00|3[aA])").search

_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_UP_DOWN = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_STRING = re.compile(rb'"[^"]*"')


def check(text: bytes | memoryview, *, max_depth: int = 64) -> None:
    """Raise BadText unless the text is JSON that can be stored and returned unchanged.

    Besides malformed JSON, these are refused: duplicate keys, NUL and lone surrogates in text, integers beyond 64 bits,
    numbers that a 64-bit float cannot hold, and nesting deeper than `max_depth` (at most 254).
    """
    raw = bytes(text)
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _explained(raw, error) from None
    if _deeper(raw, max_depth):
        raise BadText(f"nested more than {max_depth} levels deep")
    printed = orjson.dumps(value)
    folded = raw.translate(_FOLD)
    if (
        raw.count(b":") != printed.count(b":")
        or _DOUBTFUL_ESCAPE(raw)
        or (
            _LONG in folded and not all(_LONG_RUNS(folded))
        )  # for each run of digits: the quote after it, or an empty text
        or (_ZERO(printed) and _LARGE_EXPONENT(folded))
    ):
        _walk(_decoded(raw), "")


def _deeper(raw: bytes, max_depth: int) -> bool:
    """Return whether valid JSON nests deeper than a limit."""
    if len(raw) <= 2 * max_depth:
        return False
    if b"\\" in raw:
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    structure = raw.translate(None, _NOT_STRUCTURE)
    if len(structure) <= 2 * max_depth:
        return False
    # Two adjacent quotes can be removed, even if one ends a string and the next begins another: only the parity of
    # the number of quotes before a bracket matters. Strings with brackets remain.
    structure = structure.replace(b'""', b"")
    if b'"' in structure:
        structure = _STRING.sub(b"", structure)
    return max(accumulate(memoryview(structure.translate(_UP_DOWN)).cast("b")), default=0) > max_depth


class _Numeral(str):
    """The text of a number."""

    __slots__ = ()


def _numeral(text: str) -> _Numeral:
    return _Numeral(text)


def _pairs(pairs: list[tuple[str, object]]) -> tuple[tuple[str, object], ...]:
    return tuple(pairs)


def _decoded(raw: bytes) -> object:
    """Parse JSON without loss: objects become tuples of pairs, numbers keep their text."""
    # Functions, not classes: the parser, which is in C, lets other threads run only when it calls a Python function.
    return json.loads(
        raw.decode(), object_pairs_hook=_pairs, parse_int=_numeral, parse_float=_numeral, parse_constant=_numeral
    )


def _walk(value: object, field: str) -> None:
    """Raise BadText for the first value that is refused."""
    match value:
        case str():
            try:
                number(value) if isinstance(value, _Numeral) else sound(value)
            except ValueError as error:
                raise BadText(str(error), field) from None
        case list():
            for index, item in enumerate(value):
                _walk(item, step(field, index))
        case tuple():
            seen: set[str] = set()
            for key, item in value:
                _walk(key, step(field, key))
                if key in seen:
                    raise BadText(f"the key {shown(key)} occurs twice in one object", field)
                seen.add(key)
                _walk(item, step(field, key))


def _explained(raw: bytes, error: orjson.JSONDecodeError) -> BadText:
    """Return the error of the walk if it finds one, because that has a field; else the parser's error."""
    try:
        _walk(_decoded(raw), "")
    except BadText as found:
        return found
    except UnicodeDecodeError as found:
        return BadText(f"not UTF-8: byte 0x{raw[found.start]:02x} at offset {found.start}")
    except (json.JSONDecodeError, RecursionError):
        pass
    return BadText(f"not JSON: {error.msg}, at line {error.lineno} column {error.colno}")
