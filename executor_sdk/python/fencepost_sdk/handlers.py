"""Handlers: reads the signature of a function and builds the arguments for it from a task."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, get_type_hints

import msgspec

from fencepost_sdk.context import Context
from fencepost_sdk.errors import TaskFailed
from fencepost_sdk.payloads import decoder, message_of

Function = Callable[..., Any]
Arguments = Callable[[Any, Context | None], tuple[Any, ...]]


class Handler:
    """A function that handles the tasks of one definition; `arguments(params, ctx)` builds its arguments.

    The function may have two parameters, in any order: one annotated `Context` (or, without an annotation, named `ctx`
    or `context`), and one for the params. The params are decoded into the type of its annotation: a dataclass, a
    TypedDict, a msgspec Struct, a pydantic model, a dict, or any other type that msgspec supports.
    """

    # Whether a dropped notification of this handler was logged.
    has_logged_drop = False

    def __init__(self, definition: str, function: Function) -> None:
        self.definition = definition
        self.function = function
        self.is_async = is_async(function)
        order, params_type = read_signature(function, (Context,), ("ctx", "context"))
        self.wants_context = "context" in order
        self._read = read_as(definition, params_type)
        self.arguments = self._arguments(order)

    def _arguments(self, order: list[str]) -> Arguments:
        read = self.read
        match order:
            case []:
                return lambda params, ctx: ()
            case ["params"]:
                return lambda params, ctx: (read(params),)
            case ["context"]:
                return lambda params, ctx: (ctx,)
            case ["params", "context"]:
                return lambda params, ctx: (read(params), ctx)
            case _:
                return lambda params, ctx: (ctx, read(params))

    def outcome(self, returned: Any) -> Any:
        """Return the result of the task for a value that the function returned."""
        return returned

    def misfit(self, error: msgspec.ValidationError) -> TaskFailed:
        """Return the failure of a task with params that do not fit the annotation."""
        sentence, _, path = message_of(error).partition(" - at `$")
        where = "$.params" + path.rstrip("`")
        failure: dict[str, Any] = {"type": "invalid-params"}
        if (faults := _faults_of_model(error, where)) is not None:
            where, sentence = faults[0]["path"], faults[0]["message"]
            failure["errors"] = faults
        message = f"the params do not fit the handler of {self.definition}: {sentence} (at {where})"
        return TaskFailed({**failure, "message": message, "path": where})

    def read(self, params: Any) -> Any:
        """Return params decoded into the type of the annotation; raises TaskFailed if they do not fit."""
        try:
            return self._read(params)
        except msgspec.ValidationError as error:
            raise self.misfit(error) from error


def read_as(definition: str, params_type: Any) -> Callable[[bytes], Any]:
    """Return a function that decodes params into a type; raises TypeError for a type without a JSON form."""
    try:
        return decoder(params_type)
    except (TypeError, NotImplementedError) as error:
        raise TypeError(f"the params of {definition} cannot be read as {params_type!r}: {error}") from error


def _faults_of_model(error: msgspec.ValidationError, where: str) -> list[dict[str, str]] | None:
    """Return the errors of a pydantic model about the value at `where`, or None for an error that is not a model's."""
    errors = getattr(error.__cause__, "errors", None)
    if not callable(errors):
        return None
    return [
        {
            "path": where + "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in one["loc"]),
            "message": one["msg"],
        }
        for one in errors()
    ]


def is_async(function: Function) -> bool:
    """Return whether a call of the function returns an awaitable."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - asks for the kind of its __call__, not whether it is callable
    )


def read_signature(function: Function, contexts: Sequence[Any], names: Sequence[str]) -> tuple[list[str], Any]:
    """Return the kinds of the parameters, `params` or `context`, in order, and the type of the params.

    A context is a parameter annotated with one of `contexts`, or without an annotation and with one of the `names`.
    Raises TypeError for parameters that cannot be used.
    """
    name = getattr(function, "__qualname__", repr(function))
    try:
        hints = get_type_hints(function, include_extras=True) if hasattr(function, "__annotations__") else {}
    except NameError as error:
        raise TypeError(f"{name}: cannot resolve its annotations ({error}); define the type in the module") from error
    order: list[str] = []
    params_type: Any = Any
    for parameter in inspect.signature(function).parameters.values():
        hint = hints.get(parameter.name, parameter.empty)
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise TypeError(f"{name}: {parameter} must be an ordinary positional parameter")
        if hint in contexts or (hint is parameter.empty and parameter.name in names):
            order.append("context")
        elif parameter.default is not parameter.empty and "params" in order:
            # A further parameter with a default is none of ours.
            continue
        else:
            order.append("params")
            params_type = Any if hint is parameter.empty else hint
    if len(set(order)) != len(order):
        raise TypeError(f"{name}: a handler takes params and a Context, each at most once")
    return order, params_type
