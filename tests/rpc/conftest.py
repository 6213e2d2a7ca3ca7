"""What tests of calls about workflows share."""

from __future__ import annotations

import pytest

from tests.fixtures.servers import Server
from tests.fixtures.workflows import Decider


@pytest.fixture
def decider(server: Server) -> Decider:
    """A decider of `demo/order` on a running server, with a kind of task to schedule."""
    server.define(retryDelay=0)
    return Decider(server, "demo/order")
