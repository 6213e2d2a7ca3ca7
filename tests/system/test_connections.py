"""Limits of connections: endless heads and bodies, silent clients, and more clients than file descriptors."""

from __future__ import annotations

import contextlib
import resource
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.fixtures.processes import Process, serving
from tests.fixtures.raw_http import Raw, get, post, raw, request
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/clients-bounded")

HEALTH = get("/healthz")
BAD_CALL = post("/rpc", b"[]")
MIB = 1 << 20
FEW = 60


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory, open_folder: Path) -> Iterator[Process]:
    """A server with short timeouts."""
    data = open_folder / "connections" / "data"
    patience = ("--head-timeout", "2", "--body-timeout", "2", "--max-bodies", str(8 * MIB))
    with serving(tmp_path_factory.mktemp("server"), "--data-dir", str(data), *patience) as running:
        yield running


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory, open_folder: Path) -> Iterator[Process]:
    """A server with a limit of 256 file descriptors."""
    data = open_folder / "connections" / "other"
    process = Process(tmp_path_factory.mktemp("crowded"), "--data-dir", str(data))
    with descriptors(256):
        process.start(wait=False)
    try:
        process.until_ready()
        yield process
    finally:
        process.stop()


@contextmanager
def descriptors(most: int) -> Iterator[None]:
    """Limit the file descriptors of processes that the block starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def memory(process: Process) -> int:
    """Return the bytes that a process has in memory."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.parametrize(
    ("begin", "endless"),
    [
        (b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: ", b"a" * 65536),
        (b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n", b"x: 1\r\n" * 10_000),
        (b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n", b"x" * 65536),
        (b"GET /", b"a" * 65536),
        (b"", b"\r\n" * 32768),
    ],
    ids=["value", "headers", "name", "path", "empty-lines"],
)
def test_an_endless_request_head_is_refused_within_bounded_memory(
    process: Process, begin: bytes, endless: bytes
) -> None:
    before = memory(process)
    with raw(process.port) as endlessly, raw(process.port) as other:
        endlessly.send(begin)
        for _ in range(1600):
            if not endlessly.send(endless):
                break
        other.send(HEALTH)
        assert other.answer().status == 200
        with contextlib.suppress(EOFError, ConnectionError):
            assert endlessly.answer().status == 431
        assert endlessly.is_ended()
    assert memory(process) - before < 20 * MIB


@pytest.mark.parametrize(
    ("size", "status"), [(65_000, 200), (66_000, 431), (200_000, 431)], ids=["below", "above", "far-above"]
)
def test_a_request_head_may_have_64_kibibytes(process: Process, size: int, status: int) -> None:
    answer = request(process.port, get("/healthz", f"x: {'a' * size}"))
    assert answer.status == status
    if status == 431:
        assert answer.type == "head-too-large"


def test_a_too_large_request_head_is_refused_in_the_format_of_the_caller(process: Process) -> None:
    answer = request(process.port, get("/healthz", "accept: text/yaml", f"x: {'a' * 66_000}"))
    assert answer.headers["content-type"] == "text/yaml"
    assert b"type: head-too-large" in answer.body


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"2\r\n[]\r\n0\r\nx: " + b"a" * 300_000, 431),
        (b"2;" + b"a" * 300_000, 431),
        (b"10000\r\n" + b" " * 65536 + b"\r\n", 413),
        (b"2\r\n[]\r\nthis is no size", 400),
    ],
    ids=["trailer", "extension", "body", "size"],
)
def test_an_endless_or_invalid_chunked_body_is_refused(process: Process, body: bytes, status: int) -> None:
    with raw(process.port) as connection:
        connection.send(post("/rpc", b"", "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b""))
        connection.send(body * (20 if status == 413 else 1))
        assert connection.answer().status == status


def test_trailers_of_a_chunked_body_are_not_read_as_headers(process: Process) -> None:
    head = post("/rpc", b"", "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
    assert (
        request(process.port, head + b"2\r\n[]\r\n0\r\nhost: evil.example\r\naccept: image/png\r\n\r\n").status == 400
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"GET", HEALTH[:-2], b"\r\n", HEALTH + HEALTH[:30], b"GET / HTTP/1.1\r\nhost: localhost\r\nupgrade: websock"],
    ids=["nothing", "a-word", "most-of-a-head", "an-empty-line", "a-second-one", "a-handshake"],
)
def test_a_client_with_an_incomplete_request_head_is_disconnected(process: Process, content: bytes) -> None:
    with raw(process.port) as connection:
        connection.send(content)
        assert connection.is_ended()


@pytest.mark.parametrize("sent", [b"", b"[", b"[" + b" " * 3000])
def test_an_incomplete_body_is_refused_with_408_after_the_timeout(process: Process, sent: bytes) -> None:
    with raw(process.port) as connection:
        connection.send(post("/rpc", b" " * 4000)[:-4000] + sent)
        answer = connection.answer()
        assert (answer.status, answer.type) == (408, "request-timeout")
        assert connection.is_ended()


def test_large_bodies_wait_in_bounded_memory(process: Process) -> None:
    before = memory(process)
    whole = post("/rpc", b"[" + b" " * (MIB - 2) + b"]")
    with ExitStack() as stack:
        connections = [stack.enter_context(raw(process.port)) for _ in range(100)]
        threads = [threading.Thread(target=one.send, args=(whole[:-1],)) for one in connections]
        for thread in threads:
            thread.start()
        # Small calls are answered meanwhile.
        assert request(process.port, BAD_CALL).status == 400
        for thread in threads:
            thread.join()
        grown = memory(process) - before
        for one in connections:
            one.send(whole[-1:])
        statuses = {status_of(one) for one in connections}
    assert statuses <= {0, 400, 408, 503}
    assert 503 in statuses
    assert grown < 60 * MIB
    until(lambda: request(process.port, whole).status == 400)


def test_a_body_beyond_the_memory_for_bodies_is_refused_with_retry_after(process: Process) -> None:
    with ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(raw(process.port)).send(post("/rpc", b" " * MIB)[:-1])

        def refused() -> bool:
            answer = request(process.port, post("/rpc", b" " * MIB))
            return answer.status == 503 and answer.type == "unavailable" and int(answer.headers["retry-after"]) > 0

        until(refused)


def status_of(connection: Raw) -> int:
    """Return the status of the next answer; 0 when the server ended the connection."""
    try:
        return connection.answer().status
    except (OSError, EOFError):
        return 0


@pytest.mark.parametrize("count", [50, 3000])
def test_pipelined_requests_are_answered_in_their_order(process: Process, count: int) -> None:
    with raw(process.port) as connection:
        connection.send(b"".join(get(f"/nothing-{number}") for number in range(count)))
        for number in range(min(count, FEW)):
            assert f"/nothing-{number}".encode() in connection.answer().body
        if count > FEW:
            with contextlib.suppress(EOFError, ConnectionError):
                while connection.answer().status == 404:
                    pass
            assert connection.is_ended()


def test_an_invalid_request_is_answered_after_the_pipelined_request_before_it(process: Process) -> None:
    poll = b'{"method": "awf.task/long-poll", "params": {"taskDefinitions": ["demo/none"], "timeout": 300}}'
    with raw(process.port) as connection:
        connection.send(post("/rpc", poll) + b"\x00\x01\x02\r\n\r\n")
        assert connection.answer().json == {"result": {"resources": []}}
        assert (connection.answer().status, connection.is_ended()) == (400, True)


def test_a_client_that_expects_100_gets_it_or_the_refusal(process: Process) -> None:
    with raw(process.port) as connection:
        whole = post("/rpc", b"[]", "expect: 100-continue")
        connection.send(whole[:-2])
        assert connection.answer().status == 100
        connection.send(b"[]")
        assert connection.answer().type == "invalid-request"
    with raw(process.port) as connection:
        connection.send(post("/rpc", b" " * (2 * MIB), "expect: 100-continue")[: -2 * MIB])
        assert connection.answer().status == 413


def test_the_connection_of_a_refused_body_is_closed_while_the_client_sends(process: Process) -> None:
    with raw(process.port) as connection:
        connection.send(post("/rpc", b"", "content-length: 100000000").replace(b"content-length: 0\r\n", b""))
        assert connection.answer().status == 413
        while connection.send(b" " * 65536):
            pass


def silent(port: int, count: int, content: bytes) -> list[Raw]:
    """Open connections that send `content` and nothing more."""
    found = []
    for _ in range(count):
        with contextlib.suppress(OSError):
            one = Raw(port)
            one.send(content)
            found.append(one)
    return found


@pytest.mark.parametrize("content", [b"", b"GET /", HEALTH], ids=["nothing", "a-part", "once"])
def test_probes_are_answered_when_descriptors_run_out(crowded: Process, content: bytes) -> None:
    connections = silent(crowded.port, 400, content)
    try:

        def status(asked: bytes) -> int:
            with contextlib.suppress(OSError), raw(crowded.port) as one:
                one.send(asked)
                return status_of(one)
            return 0

        until(lambda: status(HEALTH) == 200)
        until(lambda: status(get("/readyz")) == 200)
        # Idle connections are closed for connections with a request.
        until(lambda: status(BAD_CALL) == 400)
    finally:
        for one in connections:
            one.close()
    until(lambda: status(BAD_CALL) == 400)
    assert "Traceback" not in crowded.said


def test_waiting_polls_are_not_disconnected_to_make_room(crowded: Process) -> None:
    poll = b'{"method": "awf.task/long-poll", "params": {"taskDefinitions": ["demo/none"], "timeout": 20000}}'
    polls = silent(crowded.port, 200, post("/rpc", poll))
    try:

        def refused() -> bool:
            try:
                answer = request(crowded.port, BAD_CALL)
            except (OSError, EOFError):
                return False
            return answer.status == 503 and int(answer.headers["retry-after"]) > 0

        until(refused)
        assert request(crowded.port, HEALTH).status == 200
    finally:
        for one in polls:
            one.close()
    until(lambda: request(crowded.port, BAD_CALL).status == 400)
