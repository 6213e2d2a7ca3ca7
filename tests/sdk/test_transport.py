from __future__ import annotations

import base64
import socket
import threading

import pytest

from fencepost_sdk import ConnectionFailed
from fencepost_sdk.transport import Connection, Endpoint


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FENCEPOST_URL", "FENCEPOST_CLIENT", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_the_server_is_named_by_argument_then_environment_then_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Endpoint().url == "http://127.0.0.1:8080"
    monkeypatch.setenv("FENCEPOST_URL", "https://queue.example.org/fencepost/")
    endpoint = Endpoint()
    assert (endpoint.host, endpoint.port, endpoint.path) == ("queue.example.org", 443, "/fencepost/rpc")
    assert Endpoint("http://other:9000").host == "other"


def test_a_client_with_a_secret_is_basic_and_a_token_is_bearer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Authorization" not in Endpoint().headers
    basic = "Basic " + base64.b64encode(b"importer:s3cret").decode()
    assert Endpoint(client="importer:s3cret").headers["Authorization"] == basic
    assert Endpoint("http://importer:s3cret@host:1").headers["Authorization"] == basic
    assert Endpoint(client="a-token").headers["Authorization"] == "Bearer a-token"
    monkeypatch.setenv("FENCEPOST_CLIENT", "importer:s3cret")
    assert Endpoint().headers["Authorization"] == basic


def test_a_secret_in_the_url_is_not_shown() -> None:
    assert Endpoint("http://importer:s3cret@host:1/x").url == "http://host:1/x"


@pytest.mark.parametrize("url", ["queue.example.org", "ftp://queue", "http://"])
def test_a_url_that_is_not_http_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must look like"):
        Endpoint(url)


def test_a_proxy_of_the_environment_is_used_except_where_it_is_excluded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    endpoint = Endpoint("http://queue:8080")
    assert endpoint.proxy == ("proxy", 3128)
    assert endpoint.target == "http://queue:8080/rpc"
    monkeypatch.setenv("no_proxy", "queue")
    assert Endpoint("http://queue:8080").proxy is None


def test_a_refused_connection_is_reported_with_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionFailed, match=f"no answer from http://127.0.0.1:{port}"):
        Connection(Endpoint(f"http://127.0.0.1:{port}")).post(b"{}", 1.0)


def test_a_request_in_flight_is_aborted_from_another_thread() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = Connection(Endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        failed = threading.Event()

        def wait() -> None:
            with pytest.raises(ConnectionFailed):
                connection.post(b"{}", 60.0)
            failed.set()

        threading.Thread(target=wait, daemon=True).start()
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.recv(10)
            connection.abort()
            assert failed.wait(5)
        with pytest.raises(ConnectionFailed):
            connection.post(b"{}", 60.0)
        connection.renew()


def test_a_proxy_gets_the_credentials_of_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:se%40c%3Aret@proxy:3128")
    endpoint = Endpoint("http://queue:8080")
    expected = "Basic " + base64.b64encode(b"user:se@c:ret").decode()
    assert endpoint.headers["Proxy-Authorization"] == expected
    assert endpoint.proxy == ("proxy", 3128)
    monkeypatch.setenv("no_proxy", "queue:8080")
    assert "Proxy-Authorization" not in Endpoint("http://queue:8080").headers
    assert "Proxy-Authorization" in Endpoint("http://queue:8081").headers
    # A tunneled request is for the server, not for the proxy.
    assert "Proxy-Authorization" not in Endpoint("https://queue").headers


def test_a_secret_is_sent_without_a_trailing_line_break() -> None:
    assert Endpoint(client="a-token\n").headers["Authorization"] == "Bearer a-token"


def test_a_secret_is_not_shown_when_it_is_refused() -> None:
    with pytest.raises(ValueError, match="no header can hold") as caught:
        Endpoint(client="s3c\nret")
    assert "s3c" not in str(caught.value)
    with pytest.raises(ValueError, match="must look like") as refused:
        Endpoint("ftp://importer:s3cret@queue")
    assert "s3cret" not in str(refused.value)
