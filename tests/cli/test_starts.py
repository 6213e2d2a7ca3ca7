"""Invalid starts are refused in one line with status 2, before a Postgres is started or changed."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import psycopg
import pytest

from fencepost.cli.documents import read_documents
from fencepost.cli.variables import check_variables
from fencepost.errors import StartRefused
from fencepost.settings import Settings, read_client, read_clients, read_host, read_secret
from tests.fixtures.commands import command, refusal
from tests.fixtures.servers import Server
from tests.fixtures.surface import DOCUMENTS

pytestmark = pytest.mark.shows("guarantees/failed-start")

ROOT = Path(__file__).parents[2]
SECRET = "correct-horse-battery"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[str]:
    """Run `fencepost serve` in a folder until the block ends; yield its URL."""
    words = [sys.executable, "-m", "fencepost", "serve", "--port", "0", *arguments]
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


# Ports


@pytest.mark.parametrize("more", [(), ("--workers", "2")], ids=["one", "two"])
def test_a_port_in_use_is_refused_before_a_postgres_is_created(
    tmp_path: Path, taken: int, more: tuple[str, ...]
) -> None:
    message = refusal("serve", "--port", str(taken), *more, cwd=tmp_path)
    assert message == f"cannot listen on 127.0.0.1:{taken}: another program does; choose another --port, or 0"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", [(), ("--workers", "2")], ids=["one", "two"])
def test_a_grpc_port_in_use_is_refused_before_a_postgres_is_created(
    tmp_path: Path, taken: int, more: tuple[str, ...]
) -> None:
    message = refusal("serve", "--port", "0", "--grpc-port", str(taken), *more, cwd=tmp_path)
    assert message.startswith(f"cannot listen on 127.0.0.1:{taken} for --grpc-port")
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_refused_before_a_database_is_migrated(empty_database: str, taken: int) -> None:
    refusal("serve", "--port", str(taken), "--database-url", empty_database)
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("select to_regnamespace('fencepost')").fetchall() == [(None,)]


def test_the_demo_runs_beside_a_server_in_the_same_folder(tmp_path: Path) -> None:
    rows = tmp_path / "rows.ndjson"
    rows.write_text('{"resourceType": "Airport", "id": "A"}\n')
    with serving(tmp_path) as url:
        done = command("demo", str(rows), "--executors", "1", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "demo: 2 tasks done, 1 rows imported"
        assert command("workflow", "list", "--url", url).stdout == ""
    assert {path.name for path in tmp_path.iterdir()} == {"rows.ndjson", ".fencepost", ".fencepost-demo"}


# Addresses and secrets


@pytest.mark.parametrize("text", ["kind: task\nname: [", "kind: tusk\nname: a/b", "\N{REPLACEMENT CHARACTER}: x"])
def test_invalid_definitions_are_refused_before_a_postgres_is_created(tmp_path: Path, text: str) -> None:
    place = tmp_path / "here"
    place.mkdir()
    (tmp_path / "bad.yaml").write_text(text, "utf-8")
    assert str(tmp_path / "bad.yaml") in refusal("serve", "--definitions", str(tmp_path / "bad.yaml"), cwd=place)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("serve", "--definitions", "/no/such/folder"), "Path '/no/such/folder' does not exist"),
        (("serve", "--port", "65536"), "65536 is not in the range"),
        (("serve", "--prot", "1"), "No such option '--prot'"),
        (("serve", "--host", ""), "is empty"),
        (("serve", "--data-dir", "/proc/here"), "The data folder /proc/here cannot be used"),
        (("serve", "--client-file", "/no/such/file"), "--client-file /no/such/file cannot be read: No such file"),
        (("serve", "--database-url-file", "/no/such/file"), "--database-url-file /no/such/file cannot be read"),
        (("migrate",), "give the database with --database-url or --database-url-file"),
        (("check", "--database-url", ""), "--database-url is empty"),
        (("apply", "/no/such/folder"), "does not exist"),
        (("apply", "definitions", "--url", "http://127.0.0.1:1"), "no Fencepost answers at http://127.0.0.1:1"),
        (("apply", "definitions", "--url", "http://127.0.0.1:99999"), "--url must be http://HOST:PORT"),
        (("workflow", "list", "--url", "http://127.0.0.1:port"), "--url must be http://HOST:PORT"),
        (("demo", "/no/such/file.ndjson"), "does not exist"),
        (("frobnicate",), "No such command 'frobnicate'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_an_invalid_command_is_refused_in_one_line(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions" / "task.yaml").write_text("kind: task\nname: demo/resize\n")
    assert said in refusal(*words, cwd=tmp_path)


def test_a_start_in_a_deleted_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    words = f"cd {gone}; rmdir {gone}; exec {sys.executable} -m fencepost serve --port 0"
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "The data folder .fencepost cannot be used" in done.stderr


def test_both_commands_of_the_readme_put_the_same_definition(server: Server, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    document = re.search(r"```yaml\n(kind: task.*?)```", text, re.DOTALL)
    call = re.search(r"--data-binary '\n(method: awf\.definition/put.*?)'\n```", text, re.DOTALL)
    assert document is not None
    assert call is not None
    file = tmp_path / "greet.yaml"
    file.write_text(document[1], "utf-8")
    assert command("apply", str(file), "--url", server.url).stdout == "demo/greet version 1\n"
    status, _, answer = server.send(
        "POST", "/rpc", call[1].encode(), content_type="text/yaml", accept="application/json"
    )
    assert (status, orjson.loads(answer)["result"]["resource"]["version"]) == (200, 1)


def test_an_unreadable_folder_of_definitions_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "definitions"
    (folder / "closed").mkdir(parents=True)
    for one in (folder, *folder.parents[:4]):
        one.chmod(0o755)
    (folder / "closed").chmod(0)
    user = os.geteuid()
    os.seteuid(user or 65534)  # to root every folder opens
    try:
        with pytest.raises(StartRefused, match="closed: Permission denied"):
            read_documents(folder, DOCUMENTS)
    finally:
        os.seteuid(user)


# Secrets


def test_a_database_address_can_come_from_a_file(database: str, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(f"\n{database}\n\n")
    done = command("migrate", "--database-url-file", str(file))
    assert (done.returncode, done.stdout) == (0, "nothing to do\n")
    assert command("check", FENCEPOST_DATABASE_URL_FILE=str(file)).returncode == 0
    assert command("check", FENCEPOST_DATABASE_URL=database).returncode == 0


def test_a_secret_file_without_exactly_one_line_is_refused_and_not_printed(tmp_path: Path) -> None:
    file = tmp_path / "url"
    for content, said in ((f"{SECRET}\n{SECRET}\n", "has 2"), ("\n", "has 0")):
        file.write_text(content)
        with pytest.raises(StartRefused, match=said) as caught:
            read_secret(None, file, "--database-url")
        assert SECRET not in str(caught.value)
    file.write_bytes(SECRET.encode() + b"\xff")
    with pytest.raises(StartRefused, match="it is not UTF-8 text"):
        read_secret(None, file, "--run-sql-url")
    with pytest.raises(StartRefused, match="--run-sql-url and --run-sql-url-file are both given"):
        read_secret("x", file, "--run-sql-url")


def test_the_secret_of_a_client_can_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "client"
    file.write_text(f"# mine\nimporter:{SECRET}\n")
    assert read_client(file) == f"importer:{SECRET}"
    file.write_text(f"importer:{SECRET}\nbilling:{SECRET}2\n")
    with pytest.raises(StartRefused, match="must have one id:secret, and has 2 lines"):
        read_client(file)


@pytest.mark.parametrize("pair", [SECRET, f"{SECRET}!:importer", f":{SECRET}", f"a b:{SECRET}"])
def test_an_invalid_client_is_refused_and_not_printed(pair: str, tmp_path: Path) -> None:
    (tmp_path / "clients").write_text(f"{pair}\n")
    for pairs, file in (([pair], None), ([], tmp_path / "clients")):
        with pytest.raises(StartRefused) as caught:
            read_clients(pairs, file)
        assert SECRET not in str(caught.value)


def test_settings_do_not_show_secrets() -> None:
    url = f"postgresql://me:{SECRET}@db.example/x"
    assert SECRET not in repr(Settings(database_url=url, run_sql_url=url, clients={"importer": SECRET}))


@pytest.mark.parametrize(
    "url", [f"http://me:{SECRET}@127.0.0.1:1", f"http://127.0.0.1:{SECRET}", f"http//me:{SECRET}@127.0.0.1", SECRET]
)
def test_an_invalid_server_address_is_refused_and_not_printed(url: str) -> None:
    assert SECRET not in refusal("workflow", "list", "--url", url)


def test_a_server_that_is_not_fencepost_is_refused_as_such(tmp_path: Path) -> None:
    (tmp_path / "rpc").write_text("[]")
    words = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as other:
        try:
            assert other.stdout is not None
            found = re.search(r"port (\d+)", other.stdout.readline())
            assert found is not None
            message = refusal("workflow", "list", "--url", f"http://127.0.0.1:{found[1]}")
        finally:
            other.terminate()
    assert message.startswith(f"no Fencepost answers at http://127.0.0.1:{found[1]}")


# The environment


def test_variables_of_a_kubernetes_service_are_not_settings() -> None:
    environment = {
        "FENCEPOST_PORT": "tcp://10.0.0.1:8080",
        "FENCEPOST_GRPC_PORT": "tcp://10.0.0.1:42113",
        "FENCEPOST_PORT_8080_TCP_ADDR": "10.0.0.1",
        "FENCEPOST_SERVICE_HOST": "10.0.0.1",
        "FENCEPOST_SERVICE_PORT": "8080",
        "FENCEPOST_HOST": "0.0.0.0",
        "OTHER_PORT": "tcp://10.0.0.1:8080",
    }
    check_variables(environment)
    assert "FENCEPOST_PORT" not in environment
    assert "FENCEPOST_GRPC_PORT" not in environment
    assert (environment["FENCEPOST_HOST"], environment["OTHER_PORT"]) == ("0.0.0.0", "tcp://10.0.0.1:8080")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("FENCEPOST_DATABSE_URL", "FENCEPOST_DATABASE_URL"),
        ("FENCEPOST_CLIENTS", "FENCEPOST_CLIENT"),
        ("FENCEPOST_WORKER", "FENCEPOST_WORKERS"),
        ("FENCEPOST_DATADIR", "FENCEPOST_DATA_DIR"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_nearest_name(name: str, meant: str) -> None:
    with pytest.raises(StartRefused, match=f"there is no variable {name}; did you mean {meant}") as caught:
        check_variables({name: SECRET})
    assert SECRET not in str(caught.value)


def test_other_variables_with_the_same_prefix_are_ignored() -> None:
    check_variables({"FENCEPOST_CLIENT_ID": "x", "FENCEPOST_VERSION": "1", "FENCEPOST_NAMESPACE": "prod"})


@pytest.mark.parametrize(
    "environment",
    [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "latin-1"}],
    ids=["C", "latin-1"],
)
def test_a_terminal_without_unicode_prints_labels_without_an_error(server: Server, environment: dict[str, str]) -> None:
    server.rpc("awf.definition/put", {"kind": "workflow", "name": "demo/flow"})
    server.rpc("awf.workflow/create-and-execute", {"definition": "demo/flow", "label": "€😀", "id": "one"})
    done = command("workflow", "list", "--url", server.url, cwd=None, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "one" in done.stdout


def test_a_closed_output_pipe_is_no_error(server: Server) -> None:
    server.rpc("awf.definition/put", {"kind": "workflow", "name": "demo/flow"})
    for number in range(3):
        server.rpc("awf.workflow/create-and-execute", {"definition": "demo/flow", "id": f"{number}" * 60})
    words = f"{sys.executable} -u -m fencepost workflow list --url {server.url} | true"
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""


def test_a_server_starts_without_a_home_with_a_strict_umask_and_an_unknown_locale(tmp_path: Path) -> None:
    words = (
        f"unset HOME USER LOGNAME PGHOST; umask 077; cd '{tmp_path}'; export LC_ALL=C LANG=xx_XX; "
        f'exec {sys.executable} -m fencepost serve --port 0 --data-dir "odd \'folder\', \\"quoted\\" \N{SNOWMAN}"'
    )
    with subprocess.Popen(["sh", "-c", words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("fencepost: ready on http://127.0.0.1:")
        process.terminate()
        assert process.wait(30) == 0


@pytest.mark.parametrize(("given", "read"), [("[::1]", "::1"), ("::1", "::1"), ("127.0.0.1", "127.0.0.1")])
def test_an_ipv6_address_can_be_given_in_brackets(given: str, read: str) -> None:
    assert read_host(given) == read
    Settings(host=read_host(given))
