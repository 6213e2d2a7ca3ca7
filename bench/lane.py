"""The process of a contestant, and its protocol with the harness: a JSON command per line, a JSON answer per line.

Output of a contestant goes to stderr, so that it cannot corrupt an answer.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import selectors
import signal
import sys
import traceback
from typing import Any

from bench.child import Child, python
from bench.contestant import Contestant, Drained
from bench.loads.idlers import raise_file_limit


class LaneFailed(Exception):
    """A contestant has failed; the message is for the notes of the table."""


class Lane:
    """A contestant in its own process, for the harness."""

    def __init__(self, name: str, options: dict[str, Any] | None = None, *, patience: float = 300.0) -> None:
        self.name = name
        self._patience = patience
        # Killed with this process, and its children with it.
        self._child = Child(python("bench.lane", name, json.dumps(options or {})), orphaned=signal.SIGTERM)
        self.pid = self._child.pid
        self.alive = True

    def ask(self, what: str, *arguments: Any) -> Any:
        """Call a method of the contestant; raises LaneFailed when it fails or takes too long, which ends the lane."""
        try:
            self._child.write(json.dumps([what, *arguments]).encode())
            answer = json.loads(self._line(what))
        except (EOFError, OSError) as error:
            self.stop()
            raise LaneFailed(f"{self.name}: its process ended ({error})") from None
        if "failed" in answer:
            raise LaneFailed(f"{self.name}: {what}: {answer['failed']}")
        return answer["result"]

    def drain(self, count: int) -> Drained:
        """Run a drain and return its result."""
        return Drained(**self.ask("drain", count))

    def stop(self, *, patience: float = 15.0) -> None:
        """Stop the process: it stops its children when its stdin ends, or else after SIGTERM."""
        if self.alive:
            self.alive = False
            self._child.stop(patience=patience)

    def _line(self, what: str) -> bytes:
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.stdout, selectors.EVENT_READ)
            # An answer is one line and written at once, so that the rest follows its first byte.
            if not selector.select(self._patience):
                self.stop(patience=0.0)
                raise LaneFailed(f"{self.name}: {what}: no answer within {self._patience:.0f} s")
        return self._child.read()


def find(name: str, options: dict[str, Any]) -> Contestant:
    """Return a contestant by its name; the part after a colon or plus is passed to its module."""
    module, _, variant = name.replace("+", ":").partition(":")
    made = importlib.import_module(f"bench.contestants.{module}")
    contestant: Contestant = made.contestant(variant, **options) if variant or options else made.contestant()
    return contestant


def _answer(contestant: Contestant, what: str, arguments: list[Any]) -> Any:
    if what == "manner":
        return dataclasses.asdict(contestant.manner)
    if what == "servers" and not hasattr(contestant, what):
        return []
    result = getattr(contestant, what)(*arguments)
    return dataclasses.asdict(result) if isinstance(result, Drained) else result


def main() -> None:
    """Serve commands until stdin ends, then close."""
    raise_file_limit()
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    contestant = find(sys.argv[1], json.loads(sys.argv[2]))

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit

    signal.signal(signal.SIGTERM, end)
    try:
        for line in sys.stdin:
            what, *arguments = json.loads(line)
            try:
                answer = {"result": _answer(contestant, what, arguments)}
            except Exception as error:  # noqa: BLE001 the harness is told, and goes on with the others
                traceback.print_exc()
                answer = {"failed": f"{type(error).__name__}: {error}"}
            out.write(json.dumps(answer).encode() + b"\n")
            out.flush()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with contextlib.suppress(Exception):
            contestant.close()


if __name__ == "__main__":
    main()
