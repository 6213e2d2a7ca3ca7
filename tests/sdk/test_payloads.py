"""Python values that are encoded as JSON, and values that are refused with their path."""

from __future__ import annotations

import enum
import json
import math
import uuid
from collections import UserDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pydantic
import pytest

from fencepost_sdk import Event, Facts, FencepostError, NotJson, TaskFailed, Worker, actions
from fencepost_sdk.deciders import Decider
from fencepost_sdk.definitions import task_document
from fencepost_sdk.handlers import Handler
from fencepost_sdk.payloads import encode

pytestmark = pytest.mark.shows("guarantees/handler-alone")


class Width(float):
    """A subclass of a plain type, as numpy's float64 is one."""


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: float
    label: Any = None


class Line(msgspec.Struct, rename="camel"):
    from_point: Point


class Model(pydantic.BaseModel):
    width: int = pydantic.Field(alias="theWidth", ge=1)
    at: datetime = datetime(2026, 1, 2, tzinfo=UTC)


class Scalar:
    """The members of numpy's scalars and arrays that the SDK reads."""

    def __init__(self, value: Any) -> None:
        self.dtype = "float64"
        self._value = value

    def tolist(self) -> Any:
        return self._value


def itself() -> list[Any]:
    one: list[Any] = []
    one.append(one)
    return one


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Width(1.5), "1.5"),
        (-0.0, "-0.0"),
        (2**63 - 1, "9223372036854775807"),
        (Decimal("1.50"), '"1.50"'),
        (Colour.RED, '"red"'),
        (uuid.UUID(int=7), '"00000000-0000-0000-0000-000000000007"'),
        (datetime(2026, 1, 2, tzinfo=UTC), '"2026-01-02T00:00:00Z"'),
        (date(2026, 1, 2), '"2026-01-02"'),
        (timedelta(seconds=3), '"PT3S"'),
        (b"xx", '"eHg="'),
        ({1}, "[1]"),
        ({1: 2}, '{"1":2}'),
        (UserDict(a=1), '{"a":1}'),
        (Line(Point(1.0)), '{"fromPoint":{"x":1.0,"label":null}}'),
        (Scalar([1, 2.5]), "[1,2.5]"),
        (Model(theWidth=3), '{"theWidth":3,"at":"2026-01-02T00:00:00Z"}'),
    ],
)
def test_each_kind_of_value_has_one_encoding(value: Any, text: str) -> None:
    assert encode(value).decode() == text


@pytest.mark.parametrize(
    ("value", "path", "says"),
    [
        (math.nan, "$", "a number must be finite, not nan"),
        ({"a": [1, {"mean": math.inf}]}, "$.a[1].mean", "not inf"),
        ({"a": Width(-math.inf)}, "$.a", "not -inf"),
        (Point(math.nan), "$.x", "not nan"),
        (Line(Point(math.nan)), "$.fromPoint.x", "not nan"),
        ({"a": Scalar([1.0, math.nan])}, "$.a[1]", "not nan"),
        ({"a": {1: math.nan}}, "$.a.1", "not nan"),
        ([2**63], "$[0]", "between -2**63 and 2**63-1"),
        ([-(2**63) - 1], "$[0]", "between -2**63 and 2**63-1"),
        ({"a": 2**70}, "$.a", "between -2**63 and 2**63-1"),
        ({"a": "\ud800"}, "$.a", "half of a surrogate pair"),
        ({"\ud800": 1}, "$", "half of a surrogate pair"),
        ({"a": "\0"}, "$.a", "the character NUL"),
        ({"a": {None: 1}}, "$.a", "None cannot be the name of a member"),
        ({"a": {(1, 2): 1}}, "$.a", "(1, 2) cannot be the name of a member"),
        ({"a": (1, object())}, "$.a[1]", "JSON cannot represent a value of type object"),
        (Point(1.0, label=ValueError("x")), "$.label", "JSON cannot represent a value of type ValueError"),
        ({"a": 1j}, "$.a", "JSON cannot represent a value of type complex"),
        (itself(), "$", "contains itself"),
    ],
)
def test_a_value_that_json_cannot_represent_is_refused_with_its_path(value: Any, path: str, says: str) -> None:
    with pytest.raises(NotJson) as caught:
        encode(value)
    assert caught.value.path == path
    assert says in str(caught.value)
    assert isinstance(caught.value, FencepostError | TypeError | ValueError)


def test_valid_text_that_resembles_an_invalid_value_is_encoded() -> None:
    value = {"a": None, "b": "null", "c": "1234567890123456789012", "d": 1.2345678901234567e18, "e": "\\u0000"}
    assert json.loads(encode(value)) == value


@pytest.mark.parametrize(
    "write",
    [
        lambda value: actions.schedule_task("demo/x", "one", {"a": value}),
        lambda value: actions.complete({"a": value}),
        lambda value: actions.fail({"a": value}),
    ],
)
def test_an_action_with_a_value_that_json_cannot_represent_is_refused(write: Callable[[Any], Any]) -> None:
    with pytest.raises(NotJson, match=r"\.a: a number must be finite"):
        write(math.nan)


def test_params_are_decoded_into_a_pydantic_model_and_an_error_names_the_field() -> None:
    def resize(params: Model) -> None: ...

    handler = Handler("demo/x", resize)
    assert handler.arguments(b'{"theWidth": 3}', None) == (Model(theWidth=3),)
    with pytest.raises(TaskFailed) as caught:
        handler.arguments(b'{"theWidth": 0, "at": "soon"}', None)
    assert caught.value.error is not None
    assert caught.value.error["type"] == "invalid-params"
    assert caught.value.error["path"] == "$.params.theWidth"
    assert [one["path"] for one in caught.value.error["errors"]] == ["$.params.theWidth", "$.params.at"]


def test_params_may_have_pydantic_models_inside_other_types() -> None:
    @dataclass
    class Pages:
        pages: list[Model]

    def typed(params: Any) -> None: ...

    typed.__annotations__["params"] = Pages
    handler = Handler("demo/x", typed)
    assert handler.arguments(b'{"pages": [{"theWidth": 3}]}', None) == (Pages([Model(theWidth=3)]),)
    with pytest.raises(TaskFailed) as caught:
        handler.arguments(b'{"pages": [{"theWidth": 3}, {"theWidth": 0}]}', None)
    assert caught.value.error is not None
    assert caught.value.error["path"].endswith(".theWidth")


def test_a_pydantic_model_becomes_the_schema_of_a_definition() -> None:
    document = task_document("demo/x", {"params": Model})
    assert document["params"]["properties"]["theWidth"]["minimum"] == 1


class Socket:
    """A class that JSON cannot be decoded into."""


@dataclass
class WithSocket:
    socket: Socket


@pytest.mark.parametrize("kind", [Socket, WithSocket, list[Socket], dict[str, WithSocket]])
def test_a_params_type_that_json_cannot_be_decoded_into_is_refused_at_registration(kind: Any) -> None:
    def handle(params: Any) -> None: ...

    handle.__annotations__["params"] = kind
    with pytest.raises(TypeError, match="Socket is neither plain data"):
        Worker().task("demo/x")(handle)


def test_the_params_of_a_decider_are_decoded_as_those_of_a_handler() -> None:
    def decide(workflow: Facts[Model], event: Event) -> None: ...

    decide.__annotations__.update(workflow=Facts[Model], event=Event)
    decider = Decider("demo/flow", decide)
    assert decider.read_params({"theWidth": 2}) == Model(theWidth=2)
    with pytest.raises(TaskFailed, match=r"\$\.params\.theWidth"):
        decider.read_params({"theWidth": "wide"})


def test_a_value_with_code_that_raises_is_refused_with_its_path() -> None:
    class Odd:
        dtype = "x"

        def tolist(self) -> Any:
            raise RuntimeError("no list")

    with pytest.raises(NotJson, match=r"\$\.a: no list"):
        encode({"a": Odd()})
