"""Authentication: a client identifies itself by Basic or Bearer; wrong credentials are delayed and logged."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest

from fencepost.errors import StartRefused
from fencepost.http.authentication import FailedLogins
from fencepost.settings import Settings, read_clients
from tests.fixtures.servers import Server, running_server

pytestmark = pytest.mark.shows("guarantees/guessing-slow")

ALICE, BOB = "alice-secret-0123456789", "bob-secret-01234567890"
# The last of 16 concurrent guesses is delayed by five seconds, the longest delay; the first one is not delayed.
WAITED_SECONDS = 3.0
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
def test_a_client_with_valid_credentials_is_the_requester_of_its_tasks(
    guarded: Server, authorization: str, client: str
) -> None:
    status, _, body = guarded.send("POST", "/rpc", BODY, content_type="application/json", authorization=authorization)

    assert status == 200
    assert orjson.loads(body)["result"]["resource"]["requester"] == {"resourceType": "Client", "id": client}


@pytest.mark.parametrize(
    "authorization",
    ["", "Basic", "Basic !!", basic("alice:wrong"), basic("alice"), basic(f"eve:{ALICE}"), "Bearer x", "Digest x"],
)
def test_missing_or_wrong_credentials_are_answered_401(guarded: Server, authorization: str) -> None:
    headers = {"authorization": authorization} if authorization else {}
    for method, path in (("POST", "/rpc"), ("GET", "/AidboxTask"), ("GET", "/AidboxTask/x")):
        status, answered, body = guarded.send(method, path, BODY, content_type="application/json", **headers)
        assert (status, orjson.loads(body)["error"]["type"]) == (401, "unauthenticated")
        assert answered["www-authenticate"].startswith("Basic")


def test_a_server_without_clients_listens_on_loopback_only() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.8.9.1"):
        Settings(host=host)
    for host in ("0.0.0.0", "::", "10.0.0.1", "example.org"):
        with pytest.raises(StartRefused, match="--client"):
            Settings(host=host)
        Settings(host=host, clients={"alice": ALICE})


def test_clients_are_read_from_flags_and_a_file(tmp_path: Path) -> None:
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
def test_the_refusal_of_an_invalid_client_does_not_show_its_secret(pairs: list[str], words: str) -> None:
    with pytest.raises(StartRefused, match=words) as caught:
        read_clients(pairs, None)

    assert ALICE not in str(caught.value)


WRONG = ["Bearer no-secret-of-anybody", basic("alice:wrong"), basic("nobody:x"), "Basic %%%"]


@pytest.mark.parametrize("authorization", WRONG)
@pytest.mark.parametrize("path", ["/rpc", "/AidboxTask"])
def test_repeated_wrong_credentials_are_logged_once(
    guarded: Server, caplog: pytest.LogCaptureFixture, path: str, authorization: str
) -> None:
    for _ in range(4):
        assert guarded.send("POST" if path == "/rpc" else "GET", path, authorization=authorization)[0] == 401
    lines = [record.getMessage() for record in caplog.records if "login-failed" in record.getMessage()]
    assert len(lines) == 1
    assert "127.0.0.1" in lines[0]
    assert authorization.split()[1] not in lines[0]


def test_calls_without_credentials_are_neither_delayed_nor_logged(
    guarded: Server, caplog: pytest.LogCaptureFixture
) -> None:
    began = time.monotonic()
    for _ in range(20):
        assert guarded.send("GET", "/AidboxTask")[0] == 401
    assert time.monotonic() - began < WAITED_SECONDS
    assert "login-failed" not in caplog.text


def test_guesses_are_delayed_and_calls_with_the_right_secret_are_not(guarded: Server, pool: ThreadPoolExecutor) -> None:
    def guess(number: int) -> float:
        began = time.monotonic()
        assert guarded.send("GET", "/AidboxTask", authorization=f"Bearer guess-{number}")[0] == 401
        return time.monotonic() - began

    guesses = [pool.submit(guess, number) for number in range(16)]
    # A call with the right secret from the same address is not delayed.
    while not all(one.done() for one in guesses):
        assert guarded.send("GET", "/AidboxTask", authorization=f"Bearer {ALICE}")[0] == 200
    assert max(one.result() for one in guesses) >= WAITED_SECONDS
    assert min(one.result() for one in guesses) < WAITED_SECONDS


def test_the_number_of_remembered_addresses_is_bounded() -> None:
    failed_logins = FailedLogins()

    async def guess() -> None:
        for number in range(5000):
            await failed_logins.record((f"10.0.{number // 256}.{number % 256}", 1), "unknown token")

    asyncio.run(guess())
    assert len(failed_logins._addresses) <= 1024


def test_ipv6_addresses_of_one_network_count_as_one_address() -> None:
    failed_logins = FailedLogins()

    async def guess() -> None:
        for number in range(5):
            await failed_logins.record((f"2001:db8::{number}", 1), "unknown token")

    asyncio.run(guess())
    assert list(failed_logins._addresses) == ["2001:db8::/64"]
