"""An array of calls in YAML, of which some cannot be taken: the others are read all the same, as they are in JSON."""

from __future__ import annotations

from typing import Any

import orjson
from ruamel.yaml.events import MappingEndEvent, MappingStartEvent, SequenceEndEvent, SequenceStartEvent

from fencepost.notation import yaml
from fencepost.notation.text import BadText

_MOST_NODES = 100_000


def calls_to_json(text: bytes, *, max_depth: int) -> tuple[bytes, dict[int, BadText]]:
    """Return a YAML body as JSON, and why some items of its outermost list are null there; raise BadText.

    The path of an error in an item begins at that item. A body that is not YAML is refused as a whole.
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
        # The dispatcher takes its items apart.
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
    """Return what to read with, one after the other, as for any body."""
    if not yaml.FAST:
        return [yaml._events]
    is_short = len(body) <= yaml._SECOND_READING and body.count("[") + body.count("{") <= max_depth
    return [yaml._fast_events, yaml._events] if is_short else [yaml._fast_events]


class _Items(yaml._Reading):
    """A reading that goes on behind an item of the outermost list that cannot be taken."""

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
            self.bad[number] = BadText(bad.message, f"${bad.path.removeprefix(f'$[{number}]')}")
        del self._path[1:]
        while self._level > outside:
            self._next()
        return None
