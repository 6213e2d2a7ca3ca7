"""YAML requests are read as plain data, and answers are written as YAML that other parsers read alike."""

import time
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from fencepost.notation import yaml, yaml_writer
from fencepost.notation.text import BadText

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
LOOKALIKES = """
    no Yes on NULL true ~ .inf nan 017 0o7 0x1F 1_000 1:30 2023-05-03 2023-05-03T13:30:43Z 1e3 +1 -.5 12e3 e12 _1
    << = - ? include-log?
"""
WORDS = st.sampled_from(LOOKALIKES.split()) | st.text("abAB019 -?:#,[]{}&*!|>'\"%@`=~./_\n\t", max_size=8)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | WORDS
    | st.uuids().map(str)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT | WORDS, inner, max_size=4)
)


@pytest.fixture(params=["libyaml", "python"])
def either_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "python":
        monkeypatch.setattr(yaml, "CParser", None)


def read(text: str | bytes, **bounds: Any) -> Any:
    return orjson.loads(yaml.to_json(text.encode() if isinstance(text, str) else text, **bounds))


def written(value: object) -> str:
    return yaml_writer.from_json(orjson.dumps(value)).decode()


def refusal(text: str | bytes, **bounds: int) -> BadText:
    with pytest.raises(BadText) as caught:
        read(text, **bounds)
    return caught.value


# Reading


def test_plain_scalars_can_be_read_as_their_text(either_parser: None) -> None:
    text = "{a: 20.10, b: yes, c: 0x1F, d: true, e: , f: ~, g: 'null', h: [1e3]}"
    assert read(text, plain=True) == {
        "a": "20.10", "b": "yes", "c": "0x1F", "d": "true", "e": None, "f": None, "g": "null", "h": ["1e3"],
    }  # fmt: skip
    assert read('{"a": 1.50}', plain=True) == {"a": "1.50"}


def test_libyaml_is_available() -> None:
    assert yaml.FAST


def test_a_call_is_read_as_plain_data(either_parser: None) -> None:
    assert read(
        """
# a comment
method: awf.task/create-and-execute   # and another
params:
  definition: demo/mail
  include-log?: true
  execute-at: 2023-05-03T13:30:43Z
  params: {to: 'ann@example.com', retries: 3, tags: [a, "b"]}
  text: |
    two
    lines
  folded: >-
    one
    line
"""
    ) == {
        "method": "awf.task/create-and-execute",
        "params": {
            "definition": "demo/mail",
            "include-log?": True,
            "execute-at": "2023-05-03T13:30:43Z",
            "params": {"to": "ann@example.com", "retries": 3, "tags": ["a", "b"]},
            "text": "two\nlines\n",
            "folded": "one line",
        },
    }


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("NULL", None),
        ("nUll", "nUll"),
        ("true", True),
        ("False", False),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("0", 0),
        ("-12", -12),
        ("+12", 12),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("1.10", 1.1),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1e3", -1000.0),
        ("1e", "1e"),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("2023-05-03", "2023-05-03"),
        ("12345678-1234-1234-1234-123456789012", "12345678-1234-1234-1234-123456789012"),
        ("1e10-x", "1e10-x"),
        ('"1"', "1"),
        ("'true'", "true"),
        ('""', ""),
        ("!!str 1", "1"),
        ("!!str", ""),
        ('"\\u00e9\\U0001F600\\t"', "é😀\t"),
        ("http://x/y?z=1#f", "http://x/y?z=1#f"),
    ],
)
def test_scalars_follow_the_core_schema(either_parser: None, scalar: str, value: object) -> None:
    assert read(f"a: {scalar}\n") == {"a": value}


def test_keys_are_read_as_their_text(either_parser: None) -> None:
    assert read("1: a\ntrue: b\nnull: c\n2023-05-03: d\n? long\n: e\n") == {
        "1": "a",
        "true": "b",
        "null": "c",
        "2023-05-03": "d",
        "long": "e",
    }
    assert "occurs twice" in refusal('1: a\n"1": b').message


@pytest.mark.parametrize("text", ["", " \n", "# nothing\n", "---\n", "--- ~\n...\n"])
def test_an_empty_document_is_null(either_parser: None, text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    "text", ["%YAML 1.2\n---\na: 1\n", "\ufeffa: 1", "a: 1\r\n", "\r\n\r\na: 1", "---\na: 1\n...\n"]
)
def test_directives_markers_and_line_endings_are_accepted(either_parser: None, text: str) -> None:
    assert read(text) == {"a": 1}


def test_a_json_body_is_passed_through_unchanged() -> None:
    body = '\ufeff {"a":\t1.10, "u": "\\ud83d\\ude00", "b": [1E2]}\n'
    assert yaml.to_json(body.encode()) == body.strip("\ufeff \n").encode()
    assert refusal('{"a": 1, "a": 2}').message == 'the key "a" occurs twice in one object'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{at: 12:30, url: http://x/y}", {"at": "12:30", "url": "http://x/y"}),
        ("params: {include-log?: true}", {"params": {"include-log?": True}}),
        ("a: [b?, c:d]", {"a": ["b?", "c:d"]}),
        ('a: "\\ud83d\\ude00"', {"a": "😀"}),
    ],
)
def test_a_short_body_that_only_yaml_1_1_forbids_is_read(either_parser: None, text: str, value: object) -> None:
    assert read(text) == value


def test_a_long_body_that_yaml_1_1_forbids_is_refused_with_a_hint() -> None:
    refused = refusal("a: {at: 12:30}\nb: " + "x" * 5000)
    assert "line 1, column 11" in refused.message
    assert "quote" in refused.message


@pytest.mark.parametrize(
    ("text", "message", "field"),
    [
        ("a: &x 1", "line 1, column 4: anchors", "a"),
        ("a: 1\nb: *x", "line 2, column 4: aliases", "b"),
        ("&x a: 1", "anchors", ""),
        ("*x : 1", "aliases", ""),
        ("a: !!int 1", "tags", "a"),
        ("a: !x {}", "tags", "a"),
        ("a: !!python/object:os.system []", "tags", "a"),
        ("a: !!set {x}", "tags", "a"),
        ("!!binary a: 1", "tags", ""),
        ("<<: {a: 1}", "merge keys", ""),
        ("a:\n  - b\n  - ? [c]\n    : d", "a key must be text", "a[1]"),
        ("{{a: b}: c}", "a key must be text", ""),
        ("a: 1\n'a': 2", 'line 2, column 1: the key "a" occurs twice', ""),
        ("a: 1\n---\nb: 2", "second one begins", ""),
        ("a: .inf", "finite", "a"),
        ("- -.INF", "finite", "[0]"),
        ("- .nan", "finite", "[0]"),
        ("- 1e999", "finite", "[0]"),
        ("- 1e-999", "so small", "[0]"),
        ("- 9223372036854775808", "integer", "[0]"),
        ("- 0x8000000000000000", "integer", "[0]"),
        ("- " + "9" * 5000, "integer", "[0]"),
        ('a b:\n  "x\\0": 1', "NUL", '["a b"]'),
        ('a: "\\x00"', "NUL", "a"),
        ("a: \0", "U+0000", ""),
        ("a:\n  b\x85", "line 2, column 4: the character U+0085", ""),
        ("a: b\u2028c", "U+2028", ""),
        ("a: [1,\nb: }", "line 2", "a[1].b"),
        ("a: b: c", "line 1, column 5", ""),
        (b"a: \xff", "not UTF-8: byte 0xff at offset 3", ""),
        (b"\xff\xfea\0", "not UTF-8", ""),
    ],
)
def test_yaml_beyond_plain_data_is_refused_with_its_position_and_field(
    text: str | bytes, message: str, field: str
) -> None:
    refused = refusal(text)
    assert message in refused.message
    assert refused.field == field


@pytest.mark.parametrize("escape", ['"\\ud800"', '"\\ude00\\ud83d"', '"\\UFFFFFFFF"', '"\\U00110000"'])
def test_escapes_of_invalid_characters_are_refused(either_parser: None, escape: str) -> None:
    refusal(f"a: {escape}")


def test_depth_and_number_of_values_are_bounded(either_parser: None) -> None:
    def nested(depth: int) -> str:
        return "".join(f"{'  ' * level}a:\n" for level in range(depth))

    read(nested(64))
    assert "64 levels" in refusal(nested(65)).message
    assert refusal(nested(3), max_depth=2).field == "a.a"
    read("[a, b, {c: d}]", max_nodes=5)
    assert "too many values" in refusal("[a, b, {c: d}]", max_nodes=4).message


_BOMBS = {
    "aliases": "a: &a [x, x]\n"
    + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)),
    "merges": "a: &a {x: 1}\n" + "".join(f"b{i}: &b{i}\n  <<: [*a, *a]\n" for i in range(20)),
    "merges without anchors": "<<: {<<: {<<: {}}}",
    "open": "[" * 20_000,
    "a kilobyte open": "[" * 1000,
    "closed": "[" * 20_000 + "]" * 20_000,
    "flow maps": "{a: " * 5_000,
    "quoted flow maps": '{"a": ' * 1_000 + "1" + "}" * 1_000,
    "dashes": "- " * 20_000,
    "question marks": "? " * 20_000,
    "values": "- a\n" * 200_000,
    "colon first, then open": "{a: b:c, d: " + "[" * 4_000,
    "digits": "- " + "9" * 1_000_000,
    "hexadecimal": "- 0x" + "f" * 1_000_000,
    "fraction": "- 0." + "9" * 1_000_000,
    "almost a number": "- " + "9" * 1_000_000 + "x: y: z",
}


@pytest.mark.parametrize("bomb", _BOMBS.values(), ids=_BOMBS.keys())
def test_hostile_yaml_is_refused_in_bounded_time(bomb: str) -> None:
    began = time.process_time()
    refusal(bomb)
    assert time.process_time() - began < 1.0


@settings(deadline=None, max_examples=500)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode) | WORDS.map(str.encode))
@example(b"%YAML 1.3\n--- a")
def test_any_text_raises_nothing_but_bad_text(text: bytes) -> None:
    try:
        orjson.loads(yaml.to_json(text))
    except BadText as refused:
        orjson.dumps([refused.message, refused.field])  # must be encodable, because the answer contains both


@pytest.mark.parametrize("text", ["%YAML 1.3\n--- a", '"\\UFFFFFFFF"', "\t- a", "a: 'b", "|1+ x"])
def test_the_python_parser_raises_only_bad_text(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(yaml, "CParser", None)
    refusal(text)


# Writing


def test_an_answer_is_written_as_readable_yaml() -> None:
    answer = {
        "result": {
            "resource": {
                "id": "12345678-90ab-4cde-8f01-234567890abc",
                "definition": "demo/mail",
                "status": "in-progress",
                "include-log?": True,
                "meta": {"createdAt": "2023-05-03T13:30:43.000001Z", "versionId": "3"},
                "label": "Send a mail (again), please",
                "params": {},
                "requester": None,
            },
            "log": [{"action": "awf.task/poll", "re-scheduled": []}, ["a", [1.5, "b"]], "no"],
        }
    }
    assert (
        written(answer)
        == """\
result:
  resource:
    id: 12345678-90ab-4cde-8f01-234567890abc
    definition: demo/mail
    status: in-progress
    include-log?: true
    meta:
      createdAt: "2023-05-03T13:30:43.000001Z"
      versionId: "3"
    label: Send a mail (again), please
    params: {}
    requester: null
  log:
    - action: awf.task/poll
      re-scheduled: []
    - - a
      - - 1.5
        - b
    - "no"
"""
    )


@pytest.mark.parametrize("value", [None, True, 1, "a", "", {}, [], "a\nb"])
def test_a_scalar_or_empty_collection_is_written_as_a_document(value: object) -> None:
    assert written(value).endswith("\n")
    assert read(written(value)) == value


@pytest.mark.parametrize(
    "word", ["no", "Off", "y", "NaN", "1e10", "12e3-a", "2023-05-03", "~", "a: b", "a #b", "-", "a "]
)
def test_text_that_another_parser_would_read_as_another_type_is_quoted(word: str) -> None:
    assert written(word) == f'"{word}"\n'


def test_numbers_are_written_as_yaml_1_1_reads_them() -> None:
    assert written([1e22, 1e-7, 1.5e300, 10.0]) == "- 1.0e+22\n- 1.0e-07\n- 1.5e+300\n- 10.0\n"


def test_a_very_long_key_survives_a_round_trip() -> None:
    value = {"a": [{"k" * 2000: [1], "\x85" * 300: {"b": 2}, "c": 3}]}
    assert read(written(value)) == value


@settings(deadline=None, max_examples=500)
@given(VALUES)
@example({"\x7f\x85\u2028\ufeff\ufffe\uffff": "\x9f\u2029"})
def test_any_value_survives_a_round_trip(value: object) -> None:
    text = written(value)
    assert text.endswith("\n")
    assert read(text) == value


@settings(deadline=None)
@given(VALUES)
def test_other_parsers_of_yaml_1_2_read_the_same_value(value: object) -> None:
    assert YAML(typ="safe").load(written(value)) == value
    assert YAML(typ="safe", pure=True).load(written(value)) == value


@settings(deadline=None)
@given(VALUES)
def test_parsers_of_yaml_1_1_read_the_same_value(value: object) -> None:
    assert pytest.importorskip("yaml").safe_load(written(value)) == value


@settings(deadline=None)
@given(VALUES)
def test_the_python_parser_reads_the_same_value(value: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml, "CParser", None)
        assert read(written(value)) == value


def test_many_tag_directives_are_refused_in_bounded_time() -> None:
    body = "".join(f"%TAG !a{number}! x\n" for number in range(60_000)) + "---\na: 1"
    begun = time.process_time()
    with pytest.raises(BadText, match="%TAG is not read"):
        yaml.to_json(body.encode())
    assert time.process_time() - begun < 2.0
