"""TLS on the gRPC port: the certificate is public, and unusable files fail the start."""

from __future__ import annotations

import http.client
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from fencepost.cli.worker import decode, encode
from fencepost.errors import StartRefused
from fencepost.settings import GrpcTls, Settings, read_grpc_tls
from tests.fixtures.machines import refused, template_of, worker_client
from tests.fixtures.processes import free_port, serving
from tests.fixtures.servers import Server

FILES = Path(__file__).resolve().parents[2] / "fixtures" / "tls"
CERT, KEY = FILES / "cert.pem", FILES / "key.pem"


@pytest.mark.shows("machines/certificate")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_workers_can_fetch_the_certificate_and_connect_with_it(database: str, tmp_path: Path, workers: str) -> None:
    port = free_port()
    files = ["--grpc-tls-cert", str(CERT), "--grpc-tls-key", str(KEY)]
    arguments = ["--database-url", database, "--grpc-port", str(port), *files, "--workers", workers]
    # With clients, to show that the certificate needs no credentials.
    with serving(tmp_path, *arguments, "--client", "me:0123456789abcdef") as process:
        certificate = fetched(process.port)
        assert certificate == CERT.read_bytes()
        machine = worker_client(port, is_old=True, certificate=certificate)
        id = machine.template("CreateTemplate", name="hello", data=template_of(("w", ["wipe"]))).id
        workflow = machine.get("CreateWorkflow", template=id, hardware="{}").id
        assert [one.workflow_id for one in machine.contexts("w")] == [workflow]
        plain = worker_client(port)
        assert refused(plain.contexts, "w")[0] == grpc.StatusCode.UNAVAILABLE


def fetched(port: int) -> bytes:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", "/cert")
        response = connection.getresponse()
        assert (response.status, response.getheader("content-type")) == (200, "application/x-pem-file")
        return response.read()


def test_without_a_certificate_its_path_is_not_found(server: Server) -> None:
    status, _, answer = server.send("GET", "/cert")
    assert (status, b"not-found" in answer) == (404, True)


def test_a_private_key_in_the_certificate_file_is_not_served(tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(KEY.read_bytes() + CERT.read_bytes() + b"notes\n" + CERT.read_bytes())
    tls = read_grpc_tls(both, both)
    assert tls is not None
    assert tls.certificate == CERT.read_bytes() * 2


@pytest.mark.parametrize(
    ("certificate", "key", "reason"),
    [
        (CERT, None, "--grpc-tls-key is missing"),
        (None, KEY, "--grpc-tls-cert is missing"),
        (CERT, FILES / "other_key.pem", "cannot be used"),
        (CERT, FILES / "locked_key.pem", "cannot be used"),
        (CERT, FILES / "nothing.pem", "No such file"),
        (KEY, KEY, "cannot be used"),
        (FILES, KEY, "cannot be used"),
    ],
)
def test_unusable_tls_files_fail_the_start(certificate: Path | None, key: Path | None, reason: str) -> None:
    with pytest.raises(StartRefused, match=reason):
        read_grpc_tls(certificate, key)


def test_a_certificate_without_a_grpc_port_is_refused() -> None:
    with pytest.raises(StartRefused, match="--grpc-port"):
        Settings(grpc_tls=read_grpc_tls(CERT, KEY))
    assert read_grpc_tls(None, None) is None


def test_a_private_key_reaches_child_processes_but_not_repr() -> None:
    settings = Settings(grpc_port=0, grpc_tls=GrpcTls(b"certificate", b"secret"))
    assert decode(encode(settings)).grpc_tls == settings.grpc_tls
    assert "secret" not in repr(settings)
