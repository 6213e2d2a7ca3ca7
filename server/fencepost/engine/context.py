"""The context of a request: what methods and routes get beside their params."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from fencepost.engine.engine import Engine
from fencepost.settings import Limits

T = TypeVar("T")
Services = Mapping[type, Any]


class Context(NamedTuple):
    """The context of a request: engine, services, caller and limits.

    `services` are found by their type. `origin` is the address at which the caller reached this server
    (`https://queue.example.com`), or empty if it is unknown.
    """

    engine: Engine
    services: Services
    caller: str
    limits: Limits
    origin: str = ""

    def of(self, service: type[T]) -> T:
        """Return a service."""
        found: T = self.services[service]
        return found
