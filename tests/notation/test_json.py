"""Texts that `fencepost.notation.json.check` accepts and refuses."""

import contextlib
import json
import time
from collections.abc import Callable

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fencepost.notation.json import check
from fencepost.notation.text import BadText

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.uuids().map(str)
    | st.from_regex(r"[0-9]{17,24}", fullmatch=True)
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))


def refusal(text: bytes, **bounds: int) -> BadText:
    with pytest.raises(BadText) as caught:
        check(text, **bounds)
    assert caught.value.message.isascii(), "the message repeats the refused text"
    assert caught.value.field.isascii()
    return caught.value


def nested(depth: int, core: bytes = b"") -> bytes:
    return b"[" * depth + core + b"]" * depth


# Accepted texts


@settings(deadline=None)
@given(VALUES)
def test_any_storable_value_is_accepted_in_any_layout(value: object) -> None:
    check(orjson.dumps(value))
    check(orjson.dumps(value, option=orjson.OPT_INDENT_2))
    check(json.dumps(value).encode())


@pytest.mark.parametrize(
    "text",
    [
        b"null",
        b' {"a" : [ 1 , 2.50 , -0 , 1E3 , 0.0 , 1e-300 ] }\n',
        b"[9223372036854775807, -9223372036854775808]",
        b'["12345678901234567890", "1e-999", "0e99999, 1e-99999, [", 0.0]',
        b"0.12345678901234567890123",
        b"1683120000000000000",
        b'{"a": {"x": 1}, "b": {"x": 1}, "a:b": "c:d"}',
        rb'["\\u0000", "\\u003a", "\ud83d\ude00", "\u003a", "\u0001"]',
        b'"\\u00e9 \xc3\xa9"',
    ],
)
def test_unusual_valid_json_is_accepted(text: bytes) -> None:
    check(text)


def test_a_memoryview_is_accepted() -> None:
    check(memoryview(b'{"a": 1}'))


# Refused texts


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        (rb'{"params": {"a": [1, "x\u0000"]}}', "params.a[1]", "NUL"),
        (rb'{"a": {"k\u0000": 1}}', r'a["k\u0000"]', "NUL"),
        (rb'{"a": "\ud800"}', "a", "surrogate"),
        (rb'{"a": {"\udc00": 1}}', r'a["\udc00"]', "surrogate"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "b", '"c" occurs twice'),
        (rb'{"b:c": 1, "b\u003ac": 2}', "", '"b:c" occurs twice'),
        (rb'[{"x": 1, "x": 2}, "\u003a"]', "[0]", '"x" occurs twice'),
        (b'{"n": [0, 9223372036854775808]}', "n[1]", "integer"),
        (b'{"include-log?": -9223372036854775809}', "include-log?", "integer"),
        (b"[18446744073709551616]", "[0]", "integer"),
        (b"[" + b"9" * 5000 + b"]", "[0]", "integer"),
        (b'{"n": 1e309}', "n", "finite"),
        (b'{"n": NaN}', "n", "finite"),
        (b"[-Infinity]", "[0]", "finite"),
        (b"[1e-400]", "[0]", "so small"),
        (b"1e-400", "", "so small"),
        (b'{"n":-1E-999}', "n", "so small"),
        (b"[0e-99999 ]", "[0]", "digits"),
        (b"[0.0e+1000]", "[0]", "digits"),
        (b"[0." + b"1" * 20_000 + b"]", "[0]", "digits"),
    ],
)
def test_a_value_that_cannot_be_stored_is_refused_with_its_field(text: bytes, field: str, message: str) -> None:
    refused = refusal(text)
    assert refused.field == field
    assert message in refused.message


@pytest.mark.parametrize(
    "text", [b"", b" ", b"{", b"[1,]", b"{'a': 1}", b"01", b"[1] 2", b"\xef\xbb\xbf1", b'"\t"', b"+1"]
)
def test_invalid_json_is_refused_with_line_and_column(text: bytes) -> None:
    refused = refusal(text)
    assert refused.message.startswith("not JSON: ")
    assert "line 1 column" in refused.message


@pytest.mark.parametrize("text", [b'{"a": "\xff"}', b'"\xed\xa0\x80"', b"\xff\xfe1\x00"])
def test_invalid_utf8_is_refused_with_the_byte(text: bytes) -> None:
    assert refusal(text).message.startswith("not UTF-8: byte 0x")


def test_depth_is_bounded_and_brackets_in_strings_do_not_count() -> None:
    check(nested(64))
    check(nested(63, b'{"a": 1}'))
    assert refusal(nested(65)).message == "nested more than 64 levels deep"
    assert "64" in refusal(nested(64, b'{"a": 1}')).message
    check(nested(3), max_depth=3)
    refusal(nested(4), max_depth=3)

    quoted = orjson.dumps(["[" * 500, '"' + "{" * 500, '\\"[', "]" * 9, "\\", {"[[\\": '\\\\"'}])
    check(quoted)
    check(b"[" + b",".join([quoted] * 100) + b"]")
    closers_in_text = b'["]]]]]]", [' * 40 + b"0" + b"]" * 80
    refusal(closers_in_text)


@settings(deadline=None)
@given(st.lists(VALUES, min_size=8, max_size=30), st.integers(1, 8))
def test_the_depth_limit_is_exact(values: list[object], max_depth: int) -> None:
    def depth(value: object) -> int:
        inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    text = orjson.dumps(values)
    if depth(values) <= max_depth:
        check(text, max_depth=max_depth)
    else:
        refusal(text, max_depth=max_depth)


# The fast scans find every fault that a full parse finds

_NUMERALS = st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
_STRINGS = st.lists(
    st.sampled_from([r"\u0000", r"\u003a", r"\u003A", r"\\", r"\"", r"\ud83d\ude00", r"\ud800", r"\udc00", r"\u0061"])
    | st.sampled_from(["a", ":", "[", "}", ",", "0", "1e-999", ", 0e-1234,", "1234567890123456789", "é", " "]),
    max_size=4,
).map(lambda parts: '"' + "".join(parts) + '"')
_SPACE = st.sampled_from(["", " ", "\n", "\t"])


def _objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    keys = st.sampled_from(['"a"', '"b"', r'"\u0061"', '"a:b"', r'"a\u003ab"']) | _STRINGS
    pairs = st.tuples(keys, _SPACE, inner).map(lambda pair: f"{pair[0]}{pair[1]}:{pair[2]}")
    return st.lists(pairs, max_size=4).map(lambda found: "{" + ",".join(found) + "}")


_TEXTS = st.recursive(
    st.tuples(_SPACE, _NUMERALS | _STRINGS | st.sampled_from(["true", "null", "NaN"]), _SPACE).map("".join),
    lambda inner: st.lists(inner, max_size=4).map(lambda found: "[" + ",".join(found) + "]") | _objects(inner),
)


def _plainly_fine(text: str) -> bool:
    fine = True

    def doubt(reason: Callable[[], bool]) -> None:
        nonlocal fine
        fine = fine and not reason()

    def number(numeral: str) -> None:
        if numeral.lstrip("-").isdigit():
            doubt(lambda: not -(2**63) <= int(numeral) < 2**63)
            return
        mantissa, _, exponent = numeral.lower().partition("e")
        doubt(lambda: abs(float(numeral)) == float("inf") or float(numeral) != float(numeral))
        doubt(lambda: float(numeral) == 0 and (mantissa.strip("-0.") != "" or abs(int(exponent or 0)) > 999))

    def string(found: str) -> None:
        doubt(lambda: "\0" in found or any("\ud800" <= letter <= "\udfff" for letter in found))

    def members(pairs: list[tuple[str, object]]) -> None:
        doubt(lambda: len({key for key, _ in pairs}) < len(pairs))
        for key, value in pairs:
            string(key)
            visit(value)

    def visit(value: object) -> None:
        if isinstance(value, str):
            string(value)
        elif isinstance(value, list):
            for item in value:
                visit(item)

    visit(json.loads(text, object_pairs_hook=members, parse_int=number, parse_float=number, parse_constant=number))
    return fine


@settings(deadline=None, max_examples=400)
@given(_TEXTS)
def test_the_fast_scans_agree_with_a_full_parse(text: str) -> None:
    if _plainly_fine(text):
        check(text.encode())
    else:
        refusal(text.encode())


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text('[]{}",:\\u0123aeE+-. \n', max_size=40).map(str.encode))
def test_any_text_raises_nothing_but_bad_text(text: bytes) -> None:
    with contextlib.suppress(BadText):
        check(text)


@pytest.mark.parametrize(
    "bomb",
    [
        b"[" * 20_000,
        nested(20_000),
        nested(1_000),
        b'{"a":' * 20_000,
        b"1" * 1_000_000,
        b'"' + b"1" * 1_000_000 + b'"',
        b"[" + b'"' + b"\\u0000" * 50_000 + b'"]',
        b"[1e-" + b"9" * 1_000_000 + b"]",
    ],
    ids=["open", "closed", "thousand", "objects", "digits", "quoted digits", "escapes", "exponent"],
)
def test_hostile_json_is_checked_in_bounded_time(bomb: bytes) -> None:
    began = time.process_time()
    with contextlib.suppress(BadText):
        check(bomb)
    assert time.process_time() - began < 0.2
