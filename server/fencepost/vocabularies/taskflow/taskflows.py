"""The service of the vocabulary: its use cases, by noun."""

from __future__ import annotations

from typing import NamedTuple

from fencepost.vocabularies.taskflow.events import FlowEvents
from fencepost.vocabularies.taskflow.flows import Flows
from fencepost.vocabularies.taskflow.templates import Templates


class Taskflows(NamedTuple):
    """The use cases, by noun."""

    flows: Flows
    templates: Templates
    events: FlowEvents
