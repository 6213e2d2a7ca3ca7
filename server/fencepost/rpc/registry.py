"""The methods that can be called, each a function with a struct of params, a struct of result and a docstring.

Validation, the OpenAPI document and the reference page follow from what is registered here.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, get_type_hints

import msgspec

from fencepost.engine.engine import Engine
from fencepost.settings import Limits


class Context(NamedTuple):
    """What a method works with besides its params: the engine, the caller's name, and the limits."""

    engine: Engine
    caller: str
    limits: Limits


P = TypeVar("P", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)
Function = Callable[[Context, P], Awaitable[R]]


@dataclass(frozen=True, slots=True)
class Method:
    """A method: its name on the wire, how its params are read, and what runs it.

    `batched`: neighbours of this method in an array may run side by side, because what they change is decided in the
    order in which they came.
    """

    name: str
    params: type[msgspec.Struct]
    result: type[msgspec.Struct]
    function: Function[Any, Any]
    decoder: msgspec.json.Decoder[Any]
    summary: str
    batched: bool
    example: dict[str, Any]


class Registry:
    """The methods, by name."""

    def __init__(self) -> None:
        self.methods: dict[str, Method] = {}

    def method(
        self, name: str, *, batched: bool = False, example: dict[str, Any] | None = None
    ) -> Callable[[Function[P, R]], Function[P, R]]:
        """Register a function `(context, params) -> result` under its name on the wire; `example` shows its params."""

        def register(function: Function[P, R]) -> Function[P, R]:
            hints = get_type_hints(function)
            self.methods[name] = Method(
                name=name,
                params=hints["params"],
                result=hints["return"],
                function=function,
                decoder=msgspec.json.Decoder(hints["params"]),
                summary=inspect.getdoc(function) or "",
                batched=batched,
                example=example or {},
            )
            return function

        return register
