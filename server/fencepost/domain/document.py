"""Documents: declarations, distinguished by their `kind`, and their stored versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Union

import msgspec

from fencepost.domain.builtin import BUILT_IN, TIMERS
from fencepost.domain.definition import Decided, TaskDefinition, WorkflowDefinition
from fencepost.domain.schedule import ScheduleDefinition
from fencepost.domain.trigger import TriggerDefinition

# A vocabulary declares subclasses of Decided.
Document = TaskDefinition | WorkflowDefinition | ScheduleDefinition | TriggerDefinition | Decided

_CORE = (TaskDefinition, WorkflowDefinition, ScheduleDefinition, TriggerDefinition)


class Foreign(msgspec.Struct, frozen=True):
    """A stored document of a vocabulary that this server does not have."""

    kind: str
    name: str


class Definition(msgspec.Struct, frozen=True):
    """One version of a document, as it is stored; `text` is its JSON."""

    name: str
    version: int
    text: bytes
    created_at: str
    document: Document | Foreign


class Documents:
    """The kinds of documents that a server reads, and the definitions that it declares itself.

    `union` is the type of any document, for msgspec. No worker may poll the definitions in `not_polled`. The tasks of
    definitions in `moved_by_id` show no execId: calls change them by id, under the rules of a vocabulary.
    """

    def __init__(
        self,
        kinds: Iterable[type[Decided]] = (),
        built_in: Iterable[Document] = (),
        *,
        not_polled: Iterable[str] = (),
        moved_by_id: Iterable[str] = (),
    ) -> None:
        every: tuple[Any, ...] = (*_CORE, *kinds)
        self.union: Any = Union[every]  # noqa: UP007 made of values
        self._kinds = {kind.kind for kind in every}
        self.built_in: Mapping[str, Document] = {one.name: one for one in (*BUILT_IN, *built_in)}
        self.moved_by_id = frozenset(moved_by_id)
        self.not_polled = frozenset((*TIMERS, *not_polled))
        self._decoder: msgspec.json.Decoder[Document] = msgspec.json.Decoder(self.union)

    def read(self, text: bytes) -> Document:
        """Parse a document from JSON text; raise msgspec.ValidationError."""
        return self._decoder.decode(text)

    def read_stored(self, text: bytes) -> Document | Foreign:
        """Parse a stored document; a server with other vocabularies may have stored it."""
        try:
            return self.read(text)
        except msgspec.ValidationError:
            foreign = msgspec.json.decode(text, type=Foreign)
            if foreign.kind in self._kinds:
                raise
            return foreign
