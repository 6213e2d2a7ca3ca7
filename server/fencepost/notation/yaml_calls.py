"""Converts an array of calls in YAML; a faulty call does not refuse the others, as in JSON."""

from __future__ import annotations

from typing import Any

import orjson
from ruamel.yaml.events import MappingEndEvent, MappingStartEvent, SequenceEndEvent, SequenceStartEvent

from fencepost.errors import field_of
from fencepost.notation import yaml
from fencepost.notation.text import BadText

_MOST_NODES = 100_000


def calls_to_json(text: bytes, *, max_depth: int) -> tuple[bytes, dict[int, BadText]]:
    """Return a YAML body as JSON, and errors by index for the items of its outermost list that are null there.

    The field of such an error is one of its item. Raises BadText for a body that is not YAML.
    """
    try:
        return yaml.to_json(text, max_depth=max_depth), {}
    except BadText:
        read = _items(text, max_depth)
        if read is None:
            raise
        return read


def _items(text: bytes, max_depth: int) -> tuple[bytes, dict[int, BadText]] | None:
    try:
        body = yaml._decoded(text)
    except BadText:
        return None
    if (raw := body.strip(" \t\r\n").encode())[:1] == b"[" and _is_json(raw):
        # The dispatcher reads the items one by one.
        return raw, {}
    try:
        yaml._refuse_unfit(body)
    except BadText:
        return None
    for parser in _parsers(body, max_depth):
        reading = _Items(parser(body), max_depth)
        try:
            value = reading.document()
        except BadText:
            continue
        return (orjson.dumps(value), reading.bad) if isinstance(value, list) and reading.bad else None
    return None


def _is_json(raw: bytes) -> bool:
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError:
        return False
    return True


def _parsers(body: str, max_depth: int) -> list[Any]:
    """Return the parsers to try, in order, as for any body."""
    if not yaml.FAST:
        return [yaml._events]
    is_short = len(body) <= yaml._SECOND_READING and body.count("[") + body.count("{") <= max_depth
    return [yaml._fast_events, yaml._events] if is_short else [yaml._fast_events]


class _Items(yaml._Reading):
    """A conversion that continues after a faulty item of the outermost list."""

    def __init__(self, next_event: Any, max_depth: int) -> None:
        super().__init__(self._counted, max_depth, _MOST_NODES, plain=False)
        self._following = next_event
        self._level = 0
        self.bad: dict[int, BadText] = {}

    def _counted(self) -> Any:
        event = self._following()
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            self._level += 1
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self._level -= 1
        return event

    def _list(self, depth: int) -> list[object]:
        if depth > 1:
            return super()._list(depth)
        items: list[object] = []
        while not isinstance(event := self._next(), SequenceEndEvent):
            self._path.append(len(items))
            items.append(self._item(event, depth + 1))
            self._path.pop()
        return items

    def _item(self, event: Any, depth: int) -> object:
        number, outside = self._path[0], 1
        try:
            return self._value(event, depth)
        except BadText as bad:
            assert isinstance(number, int), "it is the place in the outermost list"
            self.bad[number] = BadText(bad.message, field_of(bad.field.removeprefix(f"[{number}]")))
        del self._path[1:]
        while self._level > outside:
            self._next()
        return None
