"""Fixtures of the tests of methods about workflows."""

from __future__ import annotations

import pytest

from tests.fixtures.servers import Server
from tests.fixtures.workflows import Decider


@pytest.fixture
def decider(server: Server) -> Decider:
    """A decider of `demo/order` on a running server that also has the task definition `demo/resize`."""
    server.define(retryDelay=0)
    return Decider(server, "demo/order")
