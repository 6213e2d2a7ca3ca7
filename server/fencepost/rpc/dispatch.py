"""Runs calls: finds the method, decodes the params, and converts results and exceptions to answers.

The calls of an array run in order. Adjacent calls of one batched method are passed to it as a list, and become one
statement in the store; no two calls of such a list concern the same task.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Raw

from fencepost.domain.request_budget import budgeted
from fencepost.domain.suggestions import hint, shortened
from fencepost.domain.validation import refusal_of_struct
from fencepost.engine.context import Context, Services
from fencepost.engine.engine import Engine
from fencepost.errors import ANSWER_FULL, INVALID_REQUEST, METHOD_NOT_FOUND, Refusal
from fencepost.notation import json
from fencepost.notation.offload import offload
from fencepost.notation.text import BadText
from fencepost.resources.error_body import error_body, report_bug
from fencepost.rpc.envelope import Answer, Call, array_decoder, call_decoder, encoder, texts_decoder
from fencepost.rpc.gathering import Gathering
from fencepost.rpc.registry import Method, Registry
from fencepost.settings import Limits

T = TypeVar("T")


class Outcome(NamedTuple):
    """The answer to a call, and its refusal, or None."""

    answer: Answer
    refusal: Refusal | None = None


class _DecodedCall(NamedTuple):
    """A decoded call: its method and params, or the refusal. `path` is its JSON path in the request."""

    path: str
    call: Call | None
    method: Method | None = None
    params: Any = None
    refusal: Refusal | None = None


class Dispatch:
    """Runs the calls of one body."""

    def __init__(self, registry: Registry, engine: Engine, services: Services, limits: Limits) -> None:
        self._methods = registry.methods
        self._engine = engine
        self._services = services
        self._limits = limits
        self._gathering = Gathering()

    def enter(
        self, body: bytes, caller: str, origin: str, then: Callable[[Outcome | asyncio.CancelledError], None]
    ) -> asyncio.Task[None] | None:
        """Gather a lone call with others and return the task that runs them; None for a body that `run` must take.

        `then` gets the outcome that `run` would return, or raise when the task is cancelled. Only methods that are
        `gathered` are entered, with valid params.
        """
        if not body.startswith(b"{") or self._check(body) is not None:
            return None
        decoded = self._decoded(body, "$")
        method = decoded.method
        if method is None or method.gathered is None or decoded.refusal is not None:
            return None

        def settle(result: Any) -> None:
            then(result if isinstance(result, asyncio.CancelledError) else _outcome(decoded, result))

        context = Context(self._engine, self._services, caller, self._limits, origin)
        return self._gathering.add(method, context, decoded.params, settle)

    async def run(
        self, body: bytes, caller: str, origin: str = "", refused: Mapping[int, Refusal] | None = None
    ) -> Outcome | list[bytes]:
        """Return the outcome of a single call, or the answers of an array; raise Refusal if the body is neither.

        `refused` has, by index, the calls of an array that could not be decoded; they are `null` in the body. Once the
        answers of an array reach the size limit, the remaining calls are refused and not run.
        """
        refusal, bad = await offload(len(body), partial(self._checked, body))
        context = Context(self._engine, self._services, caller, self._limits, origin)
        if body.lstrip()[:1] != b"[":
            if refusal is not None:
                raise refusal
            return (await self._run(context, [self._decoded(body, "$")]))[0]
        answers: list[bytes] = []
        left = self._limits.answer_bytes
        with budgeted():
            for group in _groups(self._array(body, refusal, {**bad, **(refused or {})})):
                for calls in _split_by_size(group):
                    outcomes = await self._run(context, calls) if left > 0 else self._refuse_over_size(calls)
                    texts = [encoder.encode(outcome.answer) for outcome in outcomes]
                    left -= sum(map(len, texts))
                    answers += texts
        return answers

    def _refuse_over_size(self, calls: Sequence[_DecodedCall]) -> Sequence[Outcome]:
        return [_outcome(call, Refusal(ANSWER_FULL, limit=self._limits.answer_bytes)) for call in calls]

    async def call(self, body: bytes, caller: str) -> bytes:
        """Return the result of a single call as JSON text; raise Refusal, with a field of the call."""
        outcome = await self.run(body, caller)
        assert isinstance(outcome, Outcome), "the body is a single call"
        if outcome.refusal is not None:
            raise outcome.refusal
        return encoder.encode(outcome.answer.result)

    async def _run(self, context: Context, calls: Sequence[_DecodedCall]) -> Sequence[Outcome]:
        """Run adjacent calls of one method, or calls that were refused while decoding."""
        if (method := calls[0].method) is None or calls[0].refusal is not None:
            return [_outcome(call, call.refusal) for call in calls]
        return list(map(_outcome, calls, await method.run(context, [call.params for call in calls])))

    def _check(self, body: bytes) -> Refusal | None:
        try:
            json.check(body, max_depth=self._limits.depth)
        except BadText as bad:
            return Refusal(INVALID_REQUEST, field=bad.field, reason=bad.message)
        return None

    def _checked(self, body: bytes) -> tuple[Refusal | None, Mapping[int, Refusal]]:
        """Return the refusal of a body; for an array, with the refusals of single calls by index."""
        refusal = self._check(body)
        if refusal is not None and body.lstrip()[:1] == b"[":
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                several = map(self._check, map(bytes, texts_decoder.decode(body)[: self._limits.batch]))
                return refusal, {number: bad for number, bad in enumerate(several) if bad is not None}
        return refusal, {}

    def _array(self, body: bytes, refusal: Refusal | None, refused: Mapping[int, Refusal]) -> list[_DecodedCall]:
        """Decode an array of calls; if that fails, decode each by itself, so that the valid ones run."""
        if refusal is None:
            with contextlib.suppress(msgspec.DecodeError):
                calls = self._within_limit(array_decoder.decode(body))
                return [self._read(call, f"$[{number}]") for number, call in enumerate(calls)]
        try:
            texts = self._within_limit(texts_decoder.decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise refusal or Refusal(INVALID_REQUEST, field="", reason="not an array of calls") from None
        return [
            _DecodedCall(f"$[{number}]", None, refusal=refused[number])
            if number in refused
            else self._decoded(text, f"$[{number}]")
            for number, text in enumerate(texts)
        ]

    def _within_limit(self, calls: list[T]) -> list[T]:
        if not calls:
            raise Refusal(INVALID_REQUEST, field="", reason="the array of calls is empty")
        if len(calls) > self._limits.batch:
            reason = f"{len(calls)} calls in one array; the limit is {self._limits.batch}"
            raise Refusal(INVALID_REQUEST, field="", reason=reason)
        return calls

    def _decoded(self, text: bytes | Raw, path: str) -> _DecodedCall:
        try:
            return self._read(call_decoder.decode(text), path)
        except msgspec.ValidationError as error:
            fault = refusal_of_struct(str(error), Call)
            return _DecodedCall(path, None, refusal=Refusal(INVALID_REQUEST, field=fault.field, reason=fault.message))
        except msgspec.DecodeError as error:
            return _DecodedCall(path, None, refusal=Refusal(INVALID_REQUEST, field="", reason=str(error)))

    def _read(self, call: Call, path: str) -> _DecodedCall:
        method = self._methods.get(call.method)
        if method is None:
            return _DecodedCall(path, call, refusal=self._unknown(call.method))
        try:
            return _DecodedCall(path, call, method, method.read_params(call.params))
        except Refusal as refusal:
            return _DecodedCall(path, call, method, refusal=refusal)

    def _unknown(self, name: str) -> Refusal:
        near = hint(name, self._methods)
        return Refusal(METHOD_NOT_FOUND, field="method", name=shortened(name), hint=near)


def _outcome(decoded: _DecodedCall, result: Any) -> Outcome:
    call, method = decoded.call, decoded.method
    id, jsonrpc = (UNSET, UNSET) if call is None else (call.id, call.jsonrpc)
    if not isinstance(result, Exception):
        return Outcome(Answer(result=result, id=id, jsonrpc=jsonrpc))
    refusal = result if isinstance(result, Refusal) else report_bug(result, "" if method is None else method.name)
    if method is not None and refusal.field is not None:
        refusal = refusal.within("params")
    return Outcome(Answer(error=error_body(refusal, decoded.path), id=id, jsonrpc=jsonrpc), refusal)


def _groups(calls: Iterable[_DecodedCall]) -> Iterator[list[_DecodedCall]]:
    """Split calls into groups of one method; refused calls form groups of their own.

    A second call on the same task begins a new group: in one group, it might be applied before the first.
    """
    for method, same in groupby(calls, lambda call: None if call.refusal is not None else call.method):
        if method is None or not method.batched:
            yield list(same)
            continue
        group: list[_DecodedCall] = []
        ids: set[str] = set()
        for call in same:
            id = call.params.id
            if id in ids:
                yield group
                group, ids = [], set()
            if id is not None:
                ids.add(id)
            group.append(call)
        yield group


def _split_by_size(group: list[_DecodedCall]) -> Iterator[list[_DecodedCall]]:
    """Split a group if its answers may be large, so that their size is checked in between."""
    method = group[0].method
    if (
        method is None
        or len(group) <= method.together
        or all(call.refusal or method.small(call.params) for call in group)
    ):
        yield group
        return
    for start in range(0, len(group), method.together):
        yield group[start : start + method.together]
