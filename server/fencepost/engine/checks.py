"""Checks of payloads against schemas. Long checks run in a few subprocesses with limits.

A subprocess has limits of processor time and memory (`domain/schema_process.py`), enforced by the kernel. A check that
exceeds one becomes a refusal, and the next check starts another subprocess. Checks wait in line for a subprocess, for a
few seconds at most.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import msgspec

from fencepost.domain.request_budget import current_budget
from fencepost.domain.schema import DOES_NOT_FIT, Deferred, Fault, Question, answered
from fencepost.domain.schema_process import CHECK_SECONDS, COMPILE_SECONDS, DIFFERS, FITS, HEAD, LENGTH
from fencepost.errors import UNAVAILABLE, Refusal
from fencepost.subprocesses import environment

T = TypeVar("T")

_PROCESSES = 2
# After so many seconds of short checks in a row, the event loop gets a turn.
_AT_ONCE_SECONDS = 0.005
# Seconds to wait for a process, and for its answer: many times its processor time, since cores are shared.
_PATIENCE = 5.0
_LONGEST = 8 * (COMPILE_SECONDS + CHECK_SECONDS)
# How long a process has to end by itself.
_CLOSING_SECONDS = 1.0


class Checks:
    """The check processes of one server, started when needed."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_PROCESSES)
        self._idle: list[Process] = []
        self._at_once = 0.0

    async def made(self, call: Callable[[], T]) -> T:
        """Return what `call` returns. Each long check in it runs in a subprocess, after which `call` is called again.

        Raises Refusal: those of `call`, or `unavailable` when checks take too long.
        """
        begun = time.perf_counter()
        try:
            return call()
        except Deferred as deferred:
            question = deferred.question
        finally:
            self._at_once += time.perf_counter() - begun
            if self._at_once > _AT_ONCE_SECONDS:
                self._at_once = 0.0
                await asyncio.sleep(0)
        answers: dict[Question, list[Fault]] = {}
        while True:
            answers[question] = await self._answer(question)
            try:
                with answered(answers):
                    return call()
            except Deferred as deferred:
                question = deferred.question

    async def close(self) -> None:
        """End the processes; no check may follow."""
        idle, self._idle = self._idle, []
        for process in idle:
            await _end(process)

    async def _answer(self, question: Question) -> list[Fault]:
        left = current_budget()
        if left.check_seconds <= 0:
            reason = "the calls of this request take too long to check; send fewer of them together"
            raise Refusal(UNAVAILABLE, reason=reason, retry_after=1)
        try:
            await asyncio.wait_for(self._places.acquire(), _PATIENCE)
        except TimeoutError:
            reason = "too many payloads wait to be checked against large or recursive schemas"
            raise Refusal(UNAVAILABLE, reason=reason, retry_after=1) from None
        begun = time.monotonic()
        try:
            return await asyncio.wait_for(self._asked(question), _LONGEST)
        except TimeoutError:
            raise Refusal(UNAVAILABLE, reason="the machine is too busy to check this", retry_after=1) from None
        finally:
            left.check_seconds -= time.monotonic() - begun
            self._places.release()

    async def _asked(self, question: Question) -> list[Fault]:
        """Ask a process; a new one a second time, when one that had been used before ran out of memory."""
        is_new = not self._idle
        faults = await self._said(await self._begun() if is_new else self._idle.pop(), question)
        if faults is None and not is_new:
            faults = await self._said(await self._begun(), question)
        return [Fault(_too_much(question, "memory"))] if faults is None else faults

    async def _said(self, process: Process, question: Question) -> list[Fault] | None:
        """Return the answer of a process to a question; None when it ran out of memory."""
        is_read = False
        try:
            faults = await _answer(process, question)
            is_read = True
        finally:
            if not is_read:
                # Cancelled or timed out: its answer must not be taken for the answer to another question.
                await _end(process, at_once=True)
        if faults is None or process.stdin is None or process.stdin.is_closing():
            status = await process.wait()
            return [Fault(_too_much(question, "time"))] if faults is None and status == -signal.SIGPROF else faults
        self._idle.append(process)
        return faults

    @staticmethod
    async def _begun() -> Process:
        # -P: a file of the user's in the current folder is not taken for a module of ours.
        command = (sys.executable, "-P", "-m", "fencepost.domain.schema_process")
        return await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment(), start_new_session=True
        )


async def _answer(process: Process, question: Question) -> list[Fault] | None:
    """Return the answer of a process; None when it ended before its verdict."""
    assert process.stdin is not None
    assert process.stdout is not None
    schema, payload = question
    with suppress(ConnectionError):
        process.stdin.write(HEAD.pack(len(schema), -1 if payload is None else len(payload)) + schema + (payload or b""))
        await process.stdin.drain()
    verdict = await process.stdout.read(1)
    if verdict == FITS:
        return []
    if verdict != DIFFERS:
        return None
    try:
        (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
        return msgspec.json.decode(await process.stdout.readexactly(length), type=list[Fault])
    except asyncio.IncompleteReadError:
        # It has ended: the verdict is known, but its reasons exceeded a limit.
        process.stdin.close()
        return [Fault(f"{DOES_NOT_FIT}, which is too complex to say where")]


async def _end(process: Process, *, at_once: bool = False) -> None:
    if process.stdin is not None:
        process.stdin.close()
    with suppress(ProcessLookupError):
        if at_once:
            process.kill()
        try:
            await asyncio.wait_for(process.wait(), _CLOSING_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def _too_much(question: Question, what: str) -> str:
    if question.payload is None:
        return f"the schema is too complex: compiling it takes more than {COMPILE_SECONDS:g} s or too much memory"
    limit = f"more than {CHECK_SECONDS:g} s" if what == "time" else "too much memory"
    return f"too complex: checking it against the schema of its definition takes {limit}"
