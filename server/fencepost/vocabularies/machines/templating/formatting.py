"""Writes values of a template as text like Go's `fmt`; raises BadTemplate where Go would write an error marker."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from fencepost.vocabularies.machines.templating.lexer import BadTemplate

_VERB = re.compile(
    r"%(?P<flags>[-+# 0]*)(?P<width>[0-9]{0,3})(?P<dot>\.(?P<precision>[0-9]{0,3}))?(?P<verb>.?)", re.DOTALL
)
_ESCAPES = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}
_BASES = {"d": "d", "x": "x", "X": "X", "o": "o", "b": "b"}


def format_value(value: Any) -> str:
    """Return a value as text; raise BadTemplate for null, which Go would write as `<no value>`."""
    match value:
        case None:
            raise BadTemplate("the value is null")
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case float():
            return _shortest_float(value)
        case list():
            return f"[{' '.join(map(format_value, value))}]"
        case dict():
            return f"map[{' '.join(f'{key}:{format_value(value[key])}' for key in sorted(value))}]"
    return str(value)


def type_name(value: Any) -> str:
    """Return the type of a value, for error messages: "a map", "text"."""
    kinds: Mapping[type, str] = {dict: "a map", list: "a list", str: "text", bool: "a boolean"}
    found = next((kind for type, kind in kinds.items() if isinstance(value, type)), "a number")
    return "null" if value is None else found


def go_print(*values: Any) -> str:
    """Concatenate values like Go's `Print`: with a space between two values that are both not text."""
    out: list[str] = []
    for place, value in enumerate(values):
        if place and not isinstance(value, str) and not isinstance(values[place - 1], str):
            out.append(" ")
        out.append(format_value(value))
    return "".join(out)


def go_println(*values: Any) -> str:
    """Concatenate values like Go's `Println`: with spaces between them and a line feed at the end."""
    return " ".join(map(format_value, values)) + "\n"


def quote(text: str) -> str:
    """Return text in double quotes, with escapes for characters that cannot be printed."""
    out = []
    for char in text:
        code = ord(char)
        if char in '"\\':
            out.append(f"\\{char}")
        elif char in _ESCAPES:
            out.append(_ESCAPES[char])
        elif code < 0x80 and not char.isprintable():
            out.append(f"\\x{code:02x}")
        elif char.isprintable():
            out.append(char)
        else:
            out.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return f'"{"".join(out)}"'


def printf(form: Any, *values: Any) -> str:
    """Format values like Go's `Printf`: `%s %v %d %q %t %x %X %o %b %c %f %e %g`, with flags, width and precision."""
    if not isinstance(form, str):
        raise BadTemplate(f"expected text, not {type_name(form)}")
    left = [*values]

    def verb(found: re.Match[str]) -> str:
        name = found["verb"]
        if name == "%" and len(found[0]) == 2:
            return "%"
        if name not in _FORMATTERS:
            raise BadTemplate(f"printf does not know %{name}")
        if not left:
            raise BadTemplate(f"printf has no value for {found[0]}")
        precision = None if found["dot"] is None else int(found["precision"] or "0")
        text = _FORMATTERS[name](left.pop(0), found, precision)
        return _padded(text, found, is_signed=name in _SIGNED_VERBS, precision=precision)

    text = _VERB.sub(verb, form)
    if left:
        raise BadTemplate("printf has more values than places")
    return text


def _padded(text: str, found: re.Match[str], *, is_signed: bool, precision: int | None) -> str:
    flags, width = found["flags"], int(found["width"] or "0")
    if "-" in flags:
        return text.ljust(width)
    # Go pads text with zeros too, but not an integer that has a precision.
    if "0" not in flags or (found["verb"] in _BASES and precision is not None):
        return text.rjust(width)
    sign = text[:1] if is_signed and text[:1] in ("+", "-", " ") else ""
    return sign + text[len(sign) :].rjust(width - len(sign), "0")


def _format_text(value: Any, found: re.Match[str], precision: int | None) -> str:
    if not _is_all_text(value):
        raise BadTemplate(f"{found[0]} is not for {type_name(value)}; %v is")
    return _format_any(value, found, precision)


def _is_all_text(value: Any) -> bool:
    """Return whether a value is text, or a list or map of nothing but text."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, str | list | dict) and all(map(_is_all_text, inside))


def _format_any(value: Any, found: re.Match[str], precision: int | None) -> str:
    if "#" in found["flags"] or (isinstance(value, list | dict) and len(found[0]) > 2):
        raise BadTemplate(f"{found[0]} is not for {type_name(value)}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return format_value(value)[:precision]
    plain = _float_text(value, precision) if isinstance(value, float) else _integer_text(value, "d", precision)
    # With %v, a plus flag asks for more detail, not for the sign.
    return f" {plain}" if " " in found["flags"] and value >= 0 else plain


def _format_quoted(value: Any, found: re.Match[str], precision: int | None) -> str:
    if not isinstance(value, str) or "#" in found["flags"] or "+" in found["flags"]:
        raise BadTemplate(f"{found[0]} is not for {type_name(value)}")
    return quote(value if precision is None else value[:precision])


def _format_boolean(value: Any, found: re.Match[str], precision: int | None) -> str:
    if not isinstance(value, bool):
        raise BadTemplate(f"{found[0]} is not for {type_name(value)}")
    return format_value(value)


def _format_integer(value: Any, found: re.Match[str], precision: int | None) -> str:
    verb = found["verb"]
    if isinstance(value, str) and verb in "xX" and found["flags"] in ("", "0", "-") and precision is None:
        text = value.encode().hex()
        return text.upper() if verb == "X" else text
    if isinstance(value, bool) or not isinstance(value, int) or (precision is not None and "#" in found["flags"]):
        raise BadTemplate(f"{found[0]} is not for {type_name(value)}")
    digits = _integer_text(abs(value), verb, precision)
    prefix = {"x": "0x", "X": "0X", "o": "0", "b": "0b", "d": ""}[verb] if "#" in found["flags"] else ""
    return _signed(f"{'-' if value < 0 else ''}{prefix}{digits}", found)


def _integer_text(value: int, verb: str, precision: int | None) -> str:
    # With precision 0, Go writes the number 0 as an empty text.
    if precision == 0 and value == 0:
        return ""
    return ("-" if value < 0 else "") + format(abs(value), _BASES[verb]).zfill(precision or 0)


def _format_character(value: Any, found: re.Match[str], precision: int | None) -> str:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 0x110000 or 0xD800 <= value < 0xE000:
        raise BadTemplate(f"{found[0]} is not for {type_name(value)}")
    return chr(value)


def _format_float(value: Any, found: re.Match[str], precision: int | None) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or "#" in found["flags"]:
        raise BadTemplate(f"{found[0]} is not for {type_name(value)}")
    try:
        number = float(value)
    except OverflowError:
        raise BadTemplate(f"{found[0]} is not for {type_name(value)}") from None
    if number in (float("inf"), float("-inf")):
        raise BadTemplate(f"{found[0]} is not for {type_name(value)}")
    if found["verb"] == "g":
        return _signed(_float_text(number, precision), found)
    return _signed(format(number, f".{6 if precision is None else precision}{found['verb']}"), found)


def _float_text(value: float, precision: int | None) -> str:
    return _shortest_float(value) if precision is None else format(value, f".{max(precision, 1)}g")


def _signed(text: str, found: re.Match[str]) -> str:
    if text.startswith("-"):
        return text
    return "+" + text if "+" in found["flags"] else " " + text if " " in found["flags"] else text


def _shortest_float(value: float) -> str:
    """Return the shortest text of a number; exponents below -4 and from 6 on use the exponent form."""
    if value != value or value in (float("inf"), float("-inf")):
        raise BadTemplate("the value is not a number")
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    assert isinstance(exponent, int), "the value is finite"
    text = "".join(map(str, digits)).rstrip("0") or "0"
    power = exponent + len(digits) - 1 if text != "0" else 0
    minus = "-" if sign else ""
    if -4 <= power < 6:
        return minus + format(abs(Decimal(repr(value))).normalize(), "f")
    point = f".{text[1:]}" if len(text) > 1 else ""
    return f"{minus}{text[0]}{point}e{'-' if power < 0 else '+'}{abs(power):02d}"


_Formatter = Callable[[Any, "re.Match[str]", "int | None"], str]
_SIGNED_VERBS = "dxXobefgv"
_FORMATTERS: Mapping[str, _Formatter] = {
    "s": _format_text,
    "v": _format_any,
    "q": _format_quoted,
    "t": _format_boolean,
    "c": _format_character,
    **dict.fromkeys("dxXob", _format_integer),
    **dict.fromkeys("feg", _format_float),
}
