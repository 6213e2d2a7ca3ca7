"""`fencepost demo` as a user runs it: real processes and data, some of them killed in the middle."""

from __future__ import annotations

import gzip
import http.server
import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from fencepost.cli.demo import demo
from fencepost.demo.rows import BadInput, read_rows
from fencepost.demo.source import source_of
from fencepost.demo.table import Table, conninfo_of
from fencepost.errors import StartRefused
from fencepost.store.embedded import EmbeddedPostgres
from tests.fixtures.waiting import until

FINGERPRINT = "select count(*), md5(string_agg(r.id || r.xmin || r.changed_at, ',' order by id)) from demo.resources r"


@pytest.fixture
def folder() -> Iterator[Path]:
    yield from _open_folder()


@pytest.fixture(scope="module")
def used_folder() -> Iterator[Path]:
    """A folder in which the demo has run once; `first.txt` holds its output."""
    for path in _open_folder():
        path.joinpath("first.txt").write_text(run(path).stdout)
        yield path


def _open_folder() -> Iterator[Path]:
    # When root runs the tests, Postgres runs as another user, who must be able to enter the folder.
    with tempfile.TemporaryDirectory(prefix="fencepost-demo-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def start(folder: Path, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fencepost", "demo", "--data-dir", str(folder / "data"), *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True, **options)


def run(folder: Path, *arguments: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    return finish(start(folder, *arguments), status)


def finish(process: subprocess.Popen[str], status: int = 0) -> subprocess.CompletedProcess[str]:
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status, out + err
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def query(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    """Run SQL on the Postgres of a demo that has ended."""
    with EmbeddedPostgres(folder / "data") as postgres, psycopg.connect(postgres.conninfo) as connection:
        return connection.execute(sql.encode()).fetchall()


def running(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    """Run SQL on the Postgres of a running demo; return no rows until its tables exist."""
    try:
        with psycopg.connect(conninfo_of(folder / "data")) as connection:
            return connection.execute(sql.encode()).fetchall()
    except psycopg.Error:
        return []


def descendants(pid: int) -> dict[int, str]:
    """Return the command line of each live descendant of a process, by pid."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        parent = parent_of(int(entry.name)) if entry.name.isdigit() else None
        if parent == pid:
            found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            found |= descendants(int(entry.name))
    return found


def parent_of(pid: int) -> int | None:
    """Return the parent of a live process; None for a zombie or a pid without a process."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else int(parent)


def test_the_demo_imports_every_airport_and_prints_the_count_in_its_last_line(used_folder: Path) -> None:
    import airportsdata

    airports = airportsdata.load("ICAO")
    said = (used_folder / "first.txt").read_text().splitlines()
    tasks = [line for line in said if re.fullmatch(r"  [a-z-]+\.ndjson\.gz: [\d,]+ rows", line)]
    assert 8 <= len(tasks) <= 12
    assert "  check: succeeded" in said
    assert said[-1] == f"demo: {len(tasks) + 1} tasks done, {len(airports)} rows imported", "the check is one of them"
    assert len(airports) >= 20_000

    stored = query(used_folder, "select id, resource from demo.resources where resource_type = 'Airport'")
    assert {id: resource["name"] for id, resource in stored} == {id: one["name"] for id, one in airports.items()}


def test_a_second_run_on_the_same_folder_succeeds_and_changes_no_row(used_folder: Path) -> None:
    before = query(used_folder, FINGERPRINT)
    again = run(used_folder)
    assert again.stdout.splitlines()[-1] == (used_folder / "first.txt").read_text().splitlines()[-1]
    assert query(used_folder, FINGERPRINT) == before
    assert query(used_folder, "select count(*) from fencepost.live_tasks") == [(0,)]


def test_files_of_the_user_are_imported_by_their_keys(folder: Path) -> None:
    people = folder / "people.ndjson"
    people.write_text('{"id": "ada", "n": 1}\n\n{"id": 7}\n{"no": "key"}\n{"no": "key"}\n{"id": "ada", "n": 2}\n')
    mixed = folder / "of mine #1.ndjson.gz"
    mixed.write_bytes(gzip.compress(b'{"resourceType": "Robot", "id": "r2"}\n{"resourceType": "people", "id": "ada"}'))
    (folder / "nothing.ndjson").touch()

    for _ in range(2):
        said = run(folder, people, mixed.name, "nothing.ndjson").stdout.splitlines()
        assert said[-1] == "demo: 4 tasks done, 7 rows imported"
        assert "  people.ndjson: 5 rows" in said

    keys = query(folder, "select resource_type, id from demo.resources order by 1, length(id), id")
    assert [key for key in keys if len(key[1]) < 8] == [("Robot", "r2"), ("people", "7"), ("people", "ada")]
    assert len(keys) == 5, "two equal rows without an id are two rows, with the same keys in each run"


def test_a_bad_line_fails_only_the_task_of_its_file_and_is_named(folder: Path) -> None:
    (folder / "bad.ndjson.gz").write_bytes(gzip.compress(b'{"id": 1}\n{"id": 2\n'))
    (folder / "nul.ndjson").write_text('{"id": 1}\n{"id": 2}\n{"id": 3, "text": "\\u0000"}\n')
    (folder / "good.ndjson").write_text('{"id": 1}\n')
    failed = run(folder, "bad.ndjson.gz", "good.ndjson", "nul.ndjson", status=1)

    assert "  good.ndjson: 1 rows" in failed.stdout.splitlines()
    assert "2 of 3 tasks did not succeed" in failed.stderr
    assert f"{folder.resolve()}/bad.ndjson.gz line 2: not JSON" in failed.stderr
    assert f"{folder.resolve()}/nul.ndjson line 3: Postgres refuses it" in failed.stderr
    assert "demo:" not in failed.stdout
    attempts = query(folder, "select distinct retry_count from fencepost.done_tasks where outcome = 'failed'")
    assert attempts == [(3,)], "the definition allows two retries"


def test_a_demo_imports_every_row_when_an_executor_is_killed(folder: Path) -> None:
    process = start(folder, "--batch", "5")
    rows = until(lambda: [n for (n,) in running(folder, "select count(*) from demo.resources") if n > 1000], 30)
    executors = [pid for pid, command in descendants(process.pid).items() if "demo.executor" in command]
    assert len(executors) == 2
    assert rows[0] < 20_000, "the import ended before an executor could be killed"
    os.kill(executors[0], signal.SIGKILL)

    said = finish(process).stdout
    assert re.search(r"\(attempt 2\)", said), "no task of the killed executor was retried"
    assert said.splitlines()[-1] == "demo: 13 tasks done, 28298 rows imported"
    assert query(folder, "select count(*) from demo.resources") == [(28298,)]


def test_a_demo_ends_when_its_server_is_killed_and_the_next_demo_succeeds(folder: Path) -> None:
    process = start(folder, "--batch", "5")
    until(lambda: [n for (n,) in running(folder, "select count(*) from demo.resources") if n > 100], 30)
    os.kill(int((folder / "data" / "lock").read_text()), signal.SIGKILL)
    assert finish(process, status=1).stderr.splitlines()[-1] == "fencepost: the server ended before the demo was done"
    assert run(folder).stdout.splitlines()[-1] == "demo: 13 tasks done, 28298 rows imported"


def test_the_demo_shows_a_tree_of_progress_bars_on_a_terminal(folder: Path) -> None:
    (folder / "few.ndjson").write_text('{"id": 1}\n')
    (folder / "none.ndjson").touch()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "fencepost", "demo", "--data-dir", str(folder / "data"), "few.ndjson", "none.ndjson"],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    said = "".join(_read_to_end(ours))
    assert process.wait(30) == 0, said
    assert re.search(
        r"demo/import.*succeeded.*  few\.ndjson.*1 rows.*  none\.ndjson.*0 rows.*  check.*succeeded", said, re.DOTALL
    )
    assert said.splitlines()[-1] == "demo: 3 tasks done, 1 rows imported"


def _read_to_end(terminal: int) -> Iterator[str]:
    with os.fdopen(terminal, "rb", buffering=0) as file:
        try:
            while content := file.read(4096):
                yield content.decode(errors="replace")
        except OSError:
            # A terminal raises this error when its other side is closed.
            return


def test_the_option_keep_leaves_the_server_running_until_sigterm(folder: Path) -> None:
    (folder / "few.ndjson").write_text('{"id": 1}\n')
    process = start(folder, "--keep", "--port", "0", "few.ndjson")
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(8)]
    assert said[-1] == "demo: 2 tasks done, 1 rows imported\n"
    url = re.search(r"http://\S+(?=;)", "".join(said))
    assert url is not None
    with urllib.request.urlopen(f"{url[0]}/readyz") as ready:
        assert ready.status == 200

    second = run(folder, "few.ndjson", status=2)
    assert "in use by another Fencepost" in second.stderr

    below = descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    finish(process)
    assert len(below) > 3
    assert all(parent_of(pid) is None for pid in below), "a process was left behind"


def test_no_process_survives_a_killed_demo(folder: Path) -> None:
    process = start(folder, "--batch", "5")
    until(lambda: [n for (n,) in running(folder, "select count(*) from demo.resources") if n > 100], 30)
    below = descendants(process.pid)
    assert len(below) > 3
    process.kill()
    process.communicate(timeout=10)
    until(lambda: all(parent_of(pid) is None for pid in below), 20)


def test_ctrl_c_ends_a_running_demo_and_all_its_processes(folder: Path) -> None:
    process = start(folder, "--batch", "5")
    until(lambda: [n for (n,) in running(folder, "select count(*) from demo.resources") if n > 100], 30)
    below = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    finish(process, status=130)
    assert all(parent_of(pid) is None for pid in below)


def test_the_check_does_not_count_missing_and_changed_rows(folder: Path, empty_database: str) -> None:
    (folder / "few.ndjson").write_text("".join(json.dumps({"id": n}) + "\n" for n in range(5)))
    source = source_of(folder / "few.ndjson")
    with Table(empty_database) as table, psycopg.connect(empty_database, autocommit=True) as other:
        table.make()
        table.load(source.url, list(read_rows(source.url, source.encoding, source.resource_type)))
        other.execute("delete from demo.resources where id = '1'")
        other.execute("""update demo.resources set resource = '{"id": 0}' where id = '2'""")
        assert table.compare([source]) == [(5, 3)]


def test_a_file_is_read_over_http_and_a_missing_file_is_named_in_the_error(folder: Path) -> None:
    (folder / "few.ndjson.gz").write_bytes(gzip.compress(b'{"id": 1}\n{"id": 2}\n'))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert [row.id for row in read_rows(f"{url}/few.ndjson.gz", "gzip", "few")] == ["1", "2"]
        with pytest.raises(BadInput, match=r"none\.ndjson: cannot be read: .*404"):
            list(read_rows(f"{url}/none.ndjson", "plain", "none"))
        server.shutdown()


def test_without_the_extra_the_demo_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "airportsdata", None)
    monkeypatch.setitem(sys.modules, "fencepost_sdk", None)
    with pytest.raises(StartRefused, match=r'airportsdata and fencepost-sdk.*pip install "fencepost\[demo\]"'):
        CliRunner().invoke(demo, catch_exceptions=False)
