"""Converts JSON answers to YAML that readers of YAML 1.1 and 1.2 read back as the same values."""

import re

import orjson

# Text without quotes must be text to readers of YAML 1.1 and 1.2: so it begins with a letter, `_` or `/`, or is a UUID
# (no number has four hyphens).
_BARE = re.compile(
    r"[A-Za-z_/][A-Za-z0-9_./?@+(),-]*(?: [A-Za-z0-9_./@+()][A-Za-z0-9_./?@+(),-]*)*"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)
_LONGEST_BARE = 100
_LONGEST_KEY = 1000  # characters; parsers look for the colon within 1024
_NOT_TEXT = {"y", "yes", "n", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity"}
# Unescaped, parsers refuse these or read them as line breaks or as a byte order mark.
_TO_ESCAPE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def from_json(text: bytes) -> bytes:
    """Return JSON as YAML in block style, ending with a newline."""
    lines: list[str] = []
    _write(lines, "", orjson.loads(text), "")
    lines.append("")
    return "\n".join(lines).encode()


def _write(lines: list[str], lead: str, value: object, indent: str) -> None:
    """Append the lines of a value: `lead` is the prefix of the first one, `indent` of the others."""
    match value:
        case dict() if value:
            for key, item in value.items():
                name = _written(key)
                if len(name) > _LONGEST_KEY:
                    lines.append(f"{lead}? {name}")
                    lead, name = indent, ""
                if isinstance(item, dict | list) and item:
                    lines.append(f"{lead}{name}:")
                    _write(lines, f"{indent}  ", item, f"{indent}  ")
                else:
                    lines.append(f"{lead}{name}: {_written(item)}")
                lead = indent
        case list() if value:
            for item in value:
                _write(lines, f"{lead}- ", item, f"{indent}  ")
                lead = indent
        case _:
            lines.append(f"{lead}{_written(value)}")


def _written(value: object) -> str:
    """Return a scalar, an empty map or an empty list."""
    match value:
        case str():
            if len(value) <= _LONGEST_BARE and _BARE.fullmatch(value) and value.lower() not in _NOT_TEXT:
                return value
            quoted = orjson.dumps(value).decode()
            return _TO_ESCAPE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
        case float():
            # YAML 1.1 reads a number without a point or without a signed exponent as text.
            mantissa, e, exponent = repr(value).partition("e")
            return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}{e}{exponent}"
        case _:
            return orjson.dumps(value).decode()
