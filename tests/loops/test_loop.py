"""A loop reports each failure once, and no outage: the connection monitor reports outages."""

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
    """Run a loop; its step raises the errors one after the other, and succeeds for None."""

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


def test_a_loop_does_not_report_an_outage(said: list[str]) -> None:
    failing(DatabaseAway(), DatabaseAway(), DatabaseAway())
    assert said == []


def test_a_loop_reports_a_lasting_failure_once(said: list[str]) -> None:
    failing(FULL, FULL, FULL)
    assert said == ["loop-delayed"]


def test_a_loop_reports_a_returning_or_different_failure_again(said: list[str]) -> None:
    failing(FULL, None, FULL, StartRefused("Postgres ended at once."))
    assert said == ["loop-delayed"] * 3


def test_a_loop_reports_a_repeated_bug_once(said: list[str]) -> None:
    failing(KeyError("bug"), KeyError("bug"), KeyError("other bug"))
    assert said == ["loop-failed"] * 2
