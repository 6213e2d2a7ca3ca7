"""Who may call: clients by Basic or Bearer, and nobody from elsewhere without them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from fencepost.errors import StartRefused
from fencepost.settings import Settings, read_clients
from tests.fixtures.servers import Server, running_server

ALICE, BOB = "alice-secret-0123456789", "bob-secret-01234567890"
BODY = b'{"method": "awf.task/create-and-execute", "params": {"definition": "demo/resize"}}'


@pytest.fixture
def guarded(database: str) -> Iterator[Server]:
    with running_server(database) as local:
        local.define()
    with running_server(database, settings=Settings(clients={"alice": ALICE, "bob": BOB})) as server:
        yield server


def basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "client"),
    [(basic(f"alice:{ALICE}"), "alice"), (f"Bearer {BOB}", "bob"), (f"bearer {ALICE}", "alice")],
)
def test_a_known_client_is_let_in_and_remembered(guarded: Server, authorization: str, client: str) -> None:
    status, _, body = guarded.send("POST", "/rpc", BODY, content_type="application/json", authorization=authorization)

    assert status == 200
    assert orjson.loads(body)["result"]["resource"]["requester"] == {"resourceType": "Client", "id": client}


@pytest.mark.parametrize(
    "authorization",
    ["", "Basic", "Basic !!", basic("alice:wrong"), basic("alice"), basic(f"eve:{ALICE}"), "Bearer x", "Digest x"],
)
def test_everybody_else_is_401(guarded: Server, authorization: str) -> None:
    headers = {"authorization": authorization} if authorization else {}
    for method, path in (("POST", "/rpc"), ("GET", "/AidboxTask"), ("GET", "/AidboxTask/x")):
        status, answered, body = guarded.send(method, path, BODY, content_type="application/json", **headers)
        assert (status, orjson.loads(body)["error"]["type"]) == (401, "unauthenticated")
        assert answered["www-authenticate"].startswith("Basic")


def test_without_clients_only_loopback_is_served() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.8.9.1"):
        Settings(host=host)
    for host in ("0.0.0.0", "::", "10.0.0.1", "example.org"):
        with pytest.raises(StartRefused, match="--client"):
            Settings(host=host)
        Settings(host=host, clients={"alice": ALICE})


def test_clients_come_from_flags_and_a_file(tmp_path: Path) -> None:
    file = tmp_path / "clients"
    file.write_text(f"# people\n\nbob:{BOB}  # the other one\n")

    assert read_clients([f"alice:{ALICE}"], file) == {"alice": ALICE, "bob": BOB}


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (["alice"], "id:secret"),
        (["a b:" + ALICE], "id:secret"),
        (["alice:short"], "16 characters"),
        ([f"alice:{ALICE}", f"alice:{BOB}"], "twice"),
        ([f"alice:{ALICE}", f"bob:{ALICE}"], "twice"),
    ],
)
def test_a_client_that_cannot_be_is_refused_without_its_secret(pairs: list[str], words: str) -> None:
    with pytest.raises(StartRefused, match=words) as caught:
        read_clients(pairs, None)

    assert ALICE not in str(caught.value)
