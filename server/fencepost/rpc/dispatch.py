"""Runs calls: finds the method, reads the params, and turns whatever happens into an answer.

The calls of an array run in its order. Neighbours that are of one batched kind run side by side, and meet again in
one statement further down; the order between those that concern one task is kept there.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw

from fencepost.engine.engine import Engine
from fencepost.errors import INVALID_REQUEST, METHOD_NOT_FOUND, Refusal
from fencepost.rpc import json
from fencepost.rpc.envelope import Answer, Call, array_decoder, call_decoder
from fencepost.rpc.params import fault_of_struct, read_params
from fencepost.rpc.registry import Context, Method, Registry
from fencepost.rpc.text import BadText
from fencepost.settings import Limits
from fencepost.wire.faults import Fault, bug, fault_of


class Outcome(NamedTuple):
    """The answer to a call, and the refusal behind it if it was refused."""

    answer: Answer
    refusal: Refusal | None = None


class _Read(NamedTuple):
    """A call that was read: what to run, or the fault and the refusal behind it."""

    place: str
    call: Call | None = None
    method: Method | None = None
    params: Any = None
    refusal: tuple[Refusal, Fault] | None = None


class Dispatch:
    """Runs the calls of one body."""

    def __init__(self, registry: Registry, engine: Engine, limits: Limits) -> None:
        self._methods = registry.methods
        self._engine = engine
        self._limits = limits

    async def run(self, body: bytes, caller: str) -> Outcome | list[Outcome]:
        """Return the outcome of a lone call, or of each call of an array; raise Refusal when the body is neither."""
        refusal = self._check(body)
        context = Context(self._engine, caller, self._limits)
        if body.lstrip()[:1] != b"[":
            if refusal is not None:
                raise refusal
            return await self._run(context, self._read(body, "$"))
        texts = self._calls(body, refusal)
        reads = [self._read(text, f"$[{number}]", checked=refusal is None) for number, text in enumerate(texts)]
        outcomes: list[Outcome] = []
        for batched, neighbours in _neighbours(reads):
            if batched:
                outcomes += await asyncio.gather(*(self._run(context, read) for read in neighbours))
            else:
                outcomes += [await self._run(context, read) for read in neighbours]
        return outcomes

    async def _run(self, context: Context, read: _Read) -> Outcome:
        id = UNSET if read.call is None else read.call.id
        jsonrpc = UNSET if read.call is None else read.call.jsonrpc
        if read.method is None or read.refusal is not None:
            assert read.refusal is not None, "a call without a method was refused when it was read"
            refusal, fault = read.refusal
            return Outcome(Answer(error=fault, id=id, jsonrpc=jsonrpc), refusal)
        try:
            result = await read.method.function(context, read.params)
        except Refusal as refused:
            fault = fault_of(refused, f"{read.place}.params")
            return Outcome(Answer(error=fault, id=id, jsonrpc=jsonrpc), refused)
        except Exception as error:  # noqa: BLE001 one of the two places that catch broadly
            broken = bug(error, read.method.name)
            return Outcome(Answer(error=fault_of(broken), id=id, jsonrpc=jsonrpc), broken)
        return Outcome(Answer(result=result, id=id, jsonrpc=jsonrpc))

    def _check(self, body: bytes) -> Refusal | None:
        try:
            json.check(body, max_depth=self._limits.depth)
        except BadText as bad:
            return Refusal(INVALID_REQUEST, at=bad.path, reason=bad.message)
        return None

    def _calls(self, body: bytes, refusal: Refusal | None) -> list[Raw]:
        """Split an array; when something in it is bad, it is the calls that are checked, so that good ones go on."""
        try:
            texts = array_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise refusal or Refusal(INVALID_REQUEST, at="$", reason="not an array of calls") from None
        if not texts:
            raise Refusal(INVALID_REQUEST, at="$", reason="an empty array holds no call")
        if len(texts) > self._limits.batch:
            reason = f"{len(texts)} calls in one array; the limit is {self._limits.batch}"
            raise Refusal(INVALID_REQUEST, at="$", reason=reason)
        return texts

    def _read(self, text: bytes | Raw, place: str, *, checked: bool = True) -> _Read:
        call: Call | None = None
        params_at: str | None = place
        try:
            if not checked and (refusal := self._check(bytes(text))) is not None:
                raise refusal
            call = _decoded(text)
            method = self._methods.get(call.method)
            if method is None:
                raise self._unknown(call.method)
            params_at = f"{place}.params"
            return _Read(place, call, method, read_params(method, call.params))
        except Refusal as refused:
            return _Read(place, call, refusal=(refused, fault_of(refused, params_at)))

    def _unknown(self, name: str) -> Refusal:
        near = difflib.get_close_matches(name, self._methods, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return Refusal(METHOD_NOT_FOUND, at="$.method", name=name[:200], hint=hint)


def _decoded(text: bytes | Raw) -> Call:
    try:
        return call_decoder.decode(text)
    except msgspec.ValidationError as error:
        refusal = fault_of_struct(str(error), Call)
        raise Refusal(INVALID_REQUEST, at=refusal.at, reason=refusal.message) from None
    except msgspec.DecodeError as error:
        raise Refusal(INVALID_REQUEST, at="$", reason=str(error)) from None


def _neighbours(reads: Iterable[_Read]) -> Iterator[tuple[bool, list[_Read]]]:
    """Split calls into runs of one method, and tell whether a run may go side by side.

    A second call about one task begins a run of its own: side by side, it might be decided first.
    """
    for method, same in groupby(reads, lambda read: read.method):
        if method is None or not method.batched:
            yield False, list(same)
            continue
        run: list[_Read] = []
        ids: set[str] = set()
        for read in same:
            id = read.params.id
            if id in ids:
                yield True, run
                run, ids = [], set()
            if id is not None:
                ids.add(id)
            run.append(read)
        yield True, run
