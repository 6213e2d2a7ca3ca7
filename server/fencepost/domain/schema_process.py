"""The process that checks schemas: `python -m fencepost.domain.schema_process`, started by `engine/checks.py`.

It reads questions from its standard input and writes answers to its standard output, one after the other. The kernel
ends it when a step takes too much processor time or memory, so no code of the library can exceed a limit. The server
reads its exit status and starts another process. At the end of its input it exits.

    question   length of the schema, length of the payload (-1: none), as two big-endian 32-bit integers; both texts
    answer     FITS; or DIFFERS, the length of a JSON array of faults as a 32-bit integer, and the array

The verdict is sent before the faults are listed, since the list may exceed a limit.
"""

from __future__ import annotations

import resource
import signal
import struct
import sys
from collections import OrderedDict
from typing import Any, BinaryIO

import msgspec
import orjson

from fencepost.domain.schema import Fault, NotASchema, compile_schema, find_faults, list_faults

HEAD = struct.Struct(">ii")
LENGTH = struct.Struct(">I")
FITS, DIFFERS = b"+", b"-"

# Processor seconds of each step.
COMPILE_SECONDS = 2.0
CHECK_SECONDS = 1.0
_LIST_SECONDS = 0.3
_MOST_MEMORY = 1 << 29
# Compiled schemas in the cache: their number, and the bytes of their texts together.
_KEPT = 32
_KEPT_BYTES = 4 << 20


class _Compiled:
    """A cache of the schemas that were used last."""

    def __init__(self) -> None:
        self._by_text: OrderedDict[bytes, Any] = OrderedDict()

    def of(self, text: bytes) -> Any:
        """Return a compiled schema; raise NotASchema."""
        if text in self._by_text:
            self._by_text.move_to_end(text)
        else:
            self._by_text[text] = compile_schema(orjson.loads(text))
            while len(self._by_text) > _KEPT or sum(map(len, self._by_text)) > _KEPT_BYTES:
                self._by_text.popitem(last=False)
                if len(self._by_text) == 1:
                    break
        return self._by_text[text]


def main() -> None:
    """Answer questions until the end of the input."""
    _limit_memory()
    source, sink, compiled = sys.stdin.buffer, sys.stdout.buffer, _Compiled()
    while head := source.read(HEAD.size):
        schema_length, payload_length = HEAD.unpack(head)
        schema = source.read(schema_length)
        payload = None if payload_length < 0 else source.read(payload_length)
        _limit(COMPILE_SECONDS)
        if payload is None:
            _tell(sink, find_faults(orjson.loads(schema)))
        else:
            _check(sink, compiled, schema, payload)
        _limit(0)


def _check(sink: BinaryIO, compiled: _Compiled, schema: bytes, payload: bytes) -> None:
    try:
        validator = compiled.of(schema)
    except NotASchema as error:
        _tell(sink, [Fault(str(error))])
        return
    value = orjson.loads(payload)
    _limit(CHECK_SECONDS)
    if validator.is_valid(value):
        _tell(sink, [])
        return
    _limit(_LIST_SECONDS)
    sink.write(DIFFERS)
    sink.flush()
    _tell_faults(sink, list_faults(validator, value))


def _tell(sink: BinaryIO, faults: list[Fault]) -> None:
    sink.write(DIFFERS if faults else FITS)
    if faults:
        _tell_faults(sink, faults)
    sink.flush()


def _tell_faults(sink: BinaryIO, faults: list[Fault]) -> None:
    text = msgspec.json.encode(faults)
    sink.write(LENGTH.pack(len(text)) + text)
    sink.flush()


def _limit(seconds: float) -> None:
    """Let the kernel end this process after `seconds` more of processor time; 0 means never."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))


if __name__ == "__main__":
    main()
