"""Reports of a loop's failures: each once, and none for an outage, which the watch reports for all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from fencepost.errors import UNAVAILABLE, Refusal, StartRefused
from fencepost.loops.loop import Loop
from fencepost.store.database import DatabaseAway
from fencepost.telemetry import Event, listeners

FULL = Refusal(UNAVAILABLE, reason="the database says: no space left on device")


@pytest.fixture
def said() -> Iterator[list[str]]:
    heard: list[str] = []

    def listen(event: Event, _: dict[str, Any]) -> None:
        heard.append(event.label)

    listeners.append(listen)
    yield heard
    listeners.remove(listen)


def failing(*errors: Exception | None) -> None:
    """Run a loop whose step fails with one after the other; None is a step that succeeds."""

    async def run() -> None:
        left = list(errors)
        over = asyncio.Event()

        async def step() -> float:
            if not left:
                over.set()
                return float("inf")
            asyncio.get_running_loop().call_soon(loop.nudge)
            error = left.pop(0)
            if error is not None:
                raise error
            return float("inf")

        loop = Loop("duty", step)
        running = asyncio.create_task(loop.run())
        await asyncio.wait_for(over.wait(), 10)
        running.cancel()

    asyncio.run(run())


def test_a_loop_says_nothing_of_an_outage(said: list[str]) -> None:
    failing(DatabaseAway(), DatabaseAway(), DatabaseAway())
    assert said == []


def test_a_loop_that_cannot_go_on_says_so_once(said: list[str]) -> None:
    failing(FULL, FULL, FULL)
    assert said == ["loop-delayed"]


def test_a_failure_that_comes_back_or_is_another_one_is_said_again(said: list[str]) -> None:
    failing(FULL, None, FULL, StartRefused("Postgres ended at once."))
    assert said == ["loop-delayed"] * 3


def test_a_bug_in_a_loop_is_reported_once_and_not_a_second(said: list[str]) -> None:
    failing(KeyError("bug"), KeyError("bug"), KeyError("other bug"))
    assert said == ["loop-failed"] * 2
