"""Documents: everything that can be declared, told apart by its `kind`, and one version of one as it is stored."""

from __future__ import annotations

import msgspec

from fencepost.domain.definition import TaskDefinition, WorkflowDefinition
from fencepost.domain.schedule import ScheduleDefinition
from fencepost.domain.trigger import TriggerDefinition
from fencepost.vocabularies.devices.document import DeviceWorkflow
from fencepost.vocabularies.machines.document import MachineTemplate
from fencepost.vocabularies.people.process import ProcessDefinition
from fencepost.vocabularies.taskflow.document import TaskflowDefinition

Document = (
    TaskDefinition
    | WorkflowDefinition
    | ScheduleDefinition
    | TriggerDefinition
    | TaskflowDefinition
    | ProcessDefinition
    | DeviceWorkflow
    | MachineTemplate
)


class Definition(msgspec.Struct, frozen=True):
    """One version of a document, as it is stored; `text` is its JSON."""

    name: str
    version: int
    text: bytes
    created_at: str
    document: Document


def read_document(text: bytes) -> Document:
    """Return the document behind a JSON text; raise msgspec.ValidationError."""
    document: Document = _decoder.decode(text)
    return document


_decoder: msgspec.json.Decoder[Document] = msgspec.json.Decoder(Document)
