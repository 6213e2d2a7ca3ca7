from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

import msgspec
import pytest

from fencepost_sdk import Context, TaskFailed, Worker
from fencepost_sdk.handlers import Handler

CONTEXT = Context(b"{}", lambda: None)


@dataclass
class Resize:
    width: int
    height: int = 1


class Resized(TypedDict):
    width: int


class Window(msgspec.Struct):
    since: datetime


def arguments(function: Callable[..., Any], params: str) -> tuple[Any, ...]:
    return Handler("demo/x", function).arguments(params.encode(), CONTEXT)


def test_a_handler_may_have_no_parameters() -> None:
    assert arguments(lambda: None, "{}") == ()


def test_params_without_an_annotation_are_builtin_values() -> None:
    assert arguments(lambda params: None, '{"a": [1]}') == ({"a": [1]},)


def test_the_context_is_found_by_its_annotation_in_either_order() -> None:
    def one(what: Resize, told: Context) -> None: ...
    def other(told: Context, what: Resize) -> None: ...

    assert arguments(one, '{"width": 2}') == (Resize(2), CONTEXT)
    assert arguments(other, '{"width": 2}') == (CONTEXT, Resize(2))


def test_the_context_is_found_by_its_name_without_annotations() -> None:
    assert arguments(lambda ctx: None, "{}") == (CONTEXT,)


def test_params_are_decoded_into_a_dataclass_a_typed_dict_or_a_struct() -> None:
    def typed(params: Resized) -> None: ...
    def struct(params: Window) -> None: ...

    assert arguments(typed, '{"width": 3}') == ({"width": 3},)
    (window,) = arguments(struct, '{"since": "2026-01-02T03:04:05Z"}')
    assert window.since.year == 2026


@pytest.mark.parametrize(
    ("params", "path", "says"),
    [
        ('{"width": "wide"}', "$.params.width", "Expected `int`, got `str`"),
        ('{"height": 1}', "$.params", "missing required field `width`"),
        ("null", "$.params", "Expected `object`, got `null`"),
    ],
)
def test_params_that_do_not_fit_fail_the_task_and_name_the_field(params: str, path: str, says: str) -> None:
    def resize(params: Resize) -> None: ...

    with pytest.raises(TaskFailed) as caught:
        arguments(resize, params)
    assert caught.value.error is not None
    assert caught.value.error["type"] == "invalid-params"
    assert caught.value.error["path"] == path
    assert says in caught.value.error["message"]
    assert "demo/x" in caught.value.error["message"]


def test_a_further_parameter_with_a_default_is_ignored() -> None:
    assert arguments(lambda params, size=3: None, "{}") == ({},)


def test_a_callable_object_with_an_async_call_is_async() -> None:
    class Resizer:
        async def __call__(self, params: dict[str, Any]) -> None: ...

    assert Handler("demo/x", Resizer()).is_async


@pytest.mark.parametrize(
    "function", [lambda one, two: None, lambda *params: None, lambda *, params: None, lambda **params: None]
)
def test_an_unsupported_signature_is_refused_at_registration(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError):
        Handler("demo/x", function)


def test_a_second_handler_for_a_definition_is_refused() -> None:
    worker = Worker()
    worker.task("demo/x")(lambda: None)
    with pytest.raises(ValueError, match="demo/x already has a handler"):
        worker.task("demo/x")


def test_a_registered_handler_is_still_callable() -> None:
    worker = Worker()

    @worker.task("demo/x")
    def double(params: dict[str, int]) -> dict[str, int]:
        return {"n": params["n"] * 2}

    assert double({"n": 4}) == {"n": 8}
