"""An outage of the database while a device works: it keeps its task."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import WebSocketException

from fencepost.settings import DeviceSettings, Settings
from fencepost.store.embedded import EmbeddedPostgres
from fencepost.store.migrations import migrate
from tests.fixtures.devices import Fleet, Stream, socket_to
from tests.fixtures.servers import running_server
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/outage-costs-nothing")

# Shorter than the database is away.
SILENCE = 3.0
PATIENCE = Settings(devices=DeviceSettings(healthcheck_seconds=0.2, silence_seconds=SILENCE))


@pytest.fixture
def mortal(open_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A Postgres that the test can stop and start."""
    with EmbeddedPostgres(open_folder / "devices", options={"fsync": "off"}) as postgres:
        migrate(postgres.conninfo)
        yield postgres


@pytest.mark.shows("devices/database-outage")
def test_a_device_keeps_its_task_through_an_outage_of_the_database(mortal: EmbeddedPostgres) -> None:
    with running_server(mortal.conninfo, settings=PATIENCE) as server:
        fleet = Fleet(server)
        client = Stream(server, "/events/client")
        with socket_to(server, "/devices/r2/events") as device:
            run = fleet.begin()
            fleet.report(run["currentTaskId"], "start")
            client.next("TASK_STARTED")
            mortal.stop()
            device.send_json(type="HEARTBEAT")
            # The answer is REFUSED, or the socket closes since the server cannot read a message for the device.
            answer = device.next("REFUSED")
            assert device.close_code == 1012 if answer is None else answer["error"]["type"] == "unavailable"
        mortal.start()
        until(lambda: is_heard(fleet, run["currentTaskId"]), timeout=20)
        assert fleet.statuses(run["id"]) == ["IN_PROGRESS"]
        # Clients without a database call during the outage are still connected and receive events.
        fleet.report(run["currentTaskId"], "complete")
        assert client.next("TASK_COMPLETED")["taskId"] == run["currentTaskId"]
        client.close()


def is_heard(fleet: Fleet, task: str) -> bool:
    """Reconnect as a device and repeat the last report."""
    try:
        with socket_to(fleet.server, "/devices/r2/events") as device:
            device.send_json(type="TASK_STARTED", task_id=task)
            return bool(device.next("REPORT_TAKEN", "REFUSED")["type"] == "REPORT_TAKEN")
    except (OSError, WebSocketException, TypeError):
        return False
