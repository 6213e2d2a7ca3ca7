"""Hypothesis strategies for valid, faulty and hostile requests, and checks of the shape of an answer."""

from __future__ import annotations

import json
from typing import Any

import orjson
from hypothesis import strategies as st

from fencepost.domain.validation import member_names
from fencepost.notation import yaml
from tests.fixtures.surface import CATALOGUE, METHODS

STATUSES = {(kind.type, kind.status) for kind in CATALOGUE}


class Verbatim(str):
    """Text that goes into a JSON body as it is."""

    __slots__ = ()


class Pairs(tuple[tuple[str, Any], ...]):
    """An object with possibly duplicate keys."""

    __slots__ = ()


def written(value: Any) -> str:
    """Return a value as JSON text; Verbatim and Pairs can make it invalid."""
    match value:
        case Verbatim():
            return value
        case Pairs():
            return "{" + ",".join(f"{json.dumps(key)}:{written(member)}" for key, member in value) + "}"
        case dict():
            return written(Pairs(value.items()))
        case list():
            return "[" + ",".join(map(written, value)) + "]"
        case _:
            return json.dumps(value)


# Values

_TEXT = st.text(max_size=12) | st.text(st.characters(categories=["Cs", "Cc", "Co", "So", "Mn"]), max_size=4)
_ODD = st.sampled_from(
    [
        *("NaN", "-Infinity", "1e400", "1e-400", "-0", "01", "1.", "9" * 19, "9" * 5000, "-9223372036854775809"),
        *('"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\x"', '"', "'a'", "[1,]", '{"a":1,"a":2}', "{", "]", "//"),
        *('"' + "a" * 70_000 + '"', "[" * 70 + "]" * 70, '{"a":' * 65 + "1" + "}" * 65, '"\\u202e\\ufeff"', "\x00"),
        *('""', '"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59-23:59"', '"2023-W18-3"', '"%\\\\"', '"\\\\"'),
        *('"00000000-0000-0000-0000-000000000000"', '"a/b"', '"' + "a/" * 6 + 'b"', '"<b>&amp;{0}%s%(a)s"'),
    ]
).map(Verbatim)
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | _TEXT | _ODD
values = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(_TEXT, inner, max_size=4)
        | st.lists(st.tuples(st.sampled_from(["a", "b", "method", "id"]), inner), max_size=4).map(Pairs)
    ),
    max_leaves=12,
)


# Calls: valid calls with up to three faults


def _examples() -> list[dict[str, Any]]:
    known = {
        "id": "known",
        "label": "a label",
        "executeAt": "2023-05-03T13:30:43",
        "requestId": "once",
        "worker": "w-1",
    }
    found = []
    for method in METHODS.methods.values():
        names = member_names(method.params)
        params = {**{name: value for name, value in known.items() if name in names}, **method.example}
        found.append({"method": method.name, "params": {**params, **({"timeout": 5} if "timeout" in names else {})}})
    return found


_CALLS = _examples()
_MEMBERS = sorted({name for call in _CALLS for name in call["params"]} | {"filter", "sort", "limit", "after", "error"})


@st.composite
def calls(draw: st.DrawFn) -> Any:
    """Return a call with none to three faults."""
    call: Any = json.loads(json.dumps(draw(st.sampled_from(_CALLS))))
    for _ in range(draw(st.integers(0, 3))):
        call = _spoiled(draw, call)
    return call


def _spoiled(draw: st.DrawFn, value: Any) -> Any:
    """Return a value with one change, at the top or deeper inside."""
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        name = draw(st.sampled_from(sorted(value)))
        return {**value, name: _spoiled(draw, value[name])}
    if isinstance(value, list) and value and draw(st.booleans()):
        return [_spoiled(draw, value[0]), *value[1:]]
    if not isinstance(value, dict):
        return draw(values)
    match draw(st.sampled_from(["replace", "add", "add", "twice", "drop"])):
        case "replace":
            return draw(values)
        case "add":
            return {**value, draw(st.sampled_from(_MEMBERS) | _TEXT): draw(values)}
        case "twice":
            return Pairs((*value.items(), *value.items()))
        case _:
            return dict(list(value.items())[1:])


bodies = calls() | st.lists(calls() | values, max_size=6) | values


# Answers


def check_answer(status: int, headers: dict[str, str], body: bytes) -> None:
    """Check that an answer of /rpc is not a 5xx, and that each of its errors has the documented shape."""
    assert status < 500, body
    media_type = headers["content-type"]
    assert media_type in ("application/json", "text/yaml", "application/yaml", "application/x-yaml")
    answer = orjson.loads(body if media_type == "application/json" else yaml.to_json(body, max_depth=200))
    if isinstance(answer, list):
        assert status == 200
    for one in answer if isinstance(answer, list) else [answer]:
        assert set(one) <= {"result", "error", "id", "jsonrpc"}
        assert ("result" in one) != ("error" in one)
        if "error" in one:
            check_fault(None if isinstance(answer, list) else status, one["error"])
        else:
            assert status == 200


def check_fault(status: int | None, fault: dict[str, Any]) -> None:
    """Check that an error has the documented shape and that its type belongs to this status in the catalogue."""
    assert {"type", "message"} <= set(fault) <= {"type", "message", "path", "errors"}
    allowed = {known for type, known in STATUSES if type == fault["type"]}
    assert allowed, fault
    assert max(allowed) < 500, fault
    assert status is None or status in allowed
    assert isinstance(fault["message"], str)
    assert fault["message"]
    assert fault.get("path", "$").startswith("$")
    for error in fault.get("errors", []):
        assert set(error) == {"path", "message"}
