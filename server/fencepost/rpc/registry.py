"""The registry of methods: each is a function with a struct of params, a struct of results and a docstring.

Validation, the OpenAPI document and the reference page are derived from it.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from fencepost.domain.validation import refusal_of_struct
from fencepost.engine.context import Context
from fencepost.engine.outcomes import Outcomes

# The answers of this many calls are in memory at once, each with a few payloads of at most a megabyte.
_TOGETHER = 16


def _is_short(params: Any) -> bool:
    """Return whether a call asks for a short answer, without the resource."""
    return not getattr(params, "include_resource", True)


P = TypeVar("P", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)
Function = Callable[[Context, P], Awaitable[R]]
BatchFunction = Callable[[Context, Sequence[P]], Awaitable[Outcomes[R]]]


@dataclass(frozen=True, slots=True)
class Method:
    """A method: its name on the wire, the type of its params, and its function.

    A `batched` method takes the params of adjacent calls together, no two of them on the same task. `together` limits
    the number of calls before the size of their answers is checked; calls that are `small` do not count.

    `gathered` is None, or lone calls for which it returns equal keys are passed to the function together, too.
    """

    name: str
    params: type[msgspec.Struct]
    result: type[msgspec.Struct]
    function: BatchFunction[Any, Any]
    decoder: msgspec.json.Decoder[Any]
    summary: str
    batched: bool
    example: dict[str, Any]
    small: Callable[[Any], bool]
    together: int
    gathered: Callable[[Any], Hashable] | None

    def read_params(self, text: bytes | memoryview) -> Any:
        """Decode the params of a call; raise Refusal (`invalid-params`) that names the field."""
        try:
            return self.decoder.decode(text)
        except msgspec.ValidationError as error:
            raise refusal_of_struct(str(error), self.params) from None

    def run(self, context: Context, calls: Sequence[Any]) -> Coroutine[Any, Any, Outcomes[Any]]:
        """Return the outcome of each call; a refusal or a bug in one does not affect the others."""
        if self.batched or len(calls) == 1:
            return self.run_together(context, calls)
        return self._run_singly(context, calls)

    async def _run_singly(self, context: Context, calls: Sequence[Any]) -> Outcomes[Any]:
        return [outcome for params in calls for outcome in await self.run_together(context, [params])]

    async def run_together(self, context: Context, calls: Sequence[Any]) -> Outcomes[Any]:
        """Return the outcomes of calls that are passed to the function at once; an error of its own is that of all."""
        try:
            return await self.function(context, calls)
        except Exception as error:  # noqa: BLE001 the outcome of each call; the dispatcher logs bugs
            return [error] * len(calls)


class Registry:
    """The methods, by name."""

    def __init__(self) -> None:
        self.methods: dict[str, Method] = {}

    def method(
        self, name: str, *, example: dict[str, Any] | None = None, params: Any = None
    ) -> Callable[[Function[P, R]], Function[P, R]]:
        """Register a function `(context, params) -> result` under its name on the wire.

        `example` shows its params. `params` is their type where the annotation of the function does not say it.
        """

        def register(function: Function[P, R]) -> Function[P, R]:
            hints = get_type_hints(function)

            async def alone(context: Context, calls: Sequence[P]) -> Outcomes[R]:
                return [await function(context, calls[0])]

            alone.__doc__ = function.__doc__
            self._add(name, alone, params or hints["params"], hints["return"], example, batched=False, together=1)
            return function

        return register

    def batched(
        self,
        name: str,
        *,
        example: dict[str, Any] | None = None,
        small: Callable[[Any], bool] = _is_short,
        together: int = _TOGETHER,
        gathered: Callable[[Any], Hashable] | None = None,
        in_arrays: bool = True,
    ) -> Callable[[BatchFunction[P, R]], BatchFunction[P, R]]:
        """Register a function `(context, list of params) -> outcomes`, for calls that are cheaper together.

        Without `in_arrays`, only lone calls are `gathered`, and those of an array run one after the other.
        """

        def register(function: BatchFunction[P, R]) -> BatchFunction[P, R]:
            hints = get_type_hints(function)
            (params,), (result, _) = get_args(hints["calls"]), get_args(get_args(hints["return"])[0])
            self._add(
                name,
                function,
                params,
                result,
                example,
                batched=in_arrays,
                small=small,
                together=together,
                gathered=gathered,
            )
            return function

        return register

    def _add(
        self,
        name: str,
        function: Any,
        params: type[msgspec.Struct],
        result: type[msgspec.Struct],
        example: dict[str, Any] | None,
        *,
        batched: bool,
        small: Callable[[Any], bool] = _is_short,
        together: int = _TOGETHER,
        gathered: Callable[[Any], Hashable] | None = None,
    ) -> None:
        self.methods[name] = Method(
            name=name,
            params=params,
            result=result,
            function=function,
            decoder=msgspec.json.Decoder(params),
            summary=inspect.getdoc(function) or "",
            batched=batched,
            example=example or {},
            small=small,
            together=together,
            gathered=gathered,
        )
