"""The user of the embedded Postgres when root starts it: no other process has it or can connect."""

from __future__ import annotations

import grp
import json
import os
import pwd
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import psycopg
import pytest

from fencepost.errors import StartRefused
from fencepost.store.embedded import EmbeddedPostgres, account
from fencepost.store.embedded.account import Account, account_for
from fencepost.store.embedded.binaries import find_binaries
from tests.fixtures.waiting import until
from tests.store.embedded_servers import answers, as_root, ask, has_ended, mode, on_linux

pytestmark = [as_root, on_linux, pytest.mark.shows("guarantees/embedded-private")]

AS_USER = Path(__file__).with_name("embedded_as_user.py")


def nobody() -> Account:
    user = pwd.getpwnam("nobody")
    return Account(user.pw_uid, user.pw_gid)


def attempts(uid: int, server: EmbeddedPostgres, pgdata: Path) -> dict[str, str]:
    """Try to reach Postgres as the user in several ways; return each error, empty on success."""
    command = [sys.executable, str(AS_USER), str(uid), str(server.pid), str(pgdata), server.conninfo]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    errors: dict[str, str] = json.loads(output)
    return errors


def give(data_dir: Path, uid: int, gid: int) -> None:
    """Change the owner of the Postgres files, as an older version or a restore by root left them."""
    for top in (data_dir / "pgdata", data_dir / "run"):
        for path in (top, *top.rglob("*")):
            os.chown(path, uid, gid, follow_symlinks=False)


@pytest.fixture
def of_nobody(data_dir: Path) -> Path:
    """A data folder as older versions made it for root: with a row, owned by user nobody."""
    with EmbeddedPostgres(data_dir) as server, psycopg.connect(server.conninfo) as connection:
        connection.execute("create table kept as select 7 as number")
    give(data_dir, nobody().uid, nobody().gid)
    return data_dir


def test_root_starts_postgres_as_an_unused_user_and_uses_it_again(data_dir: Path) -> None:
    users = set()
    for _ in range(2):
        with EmbeddedPostgres(data_dir) as server:
            status = Path(f"/proc/{server.pid}").stat()
            users.add((status.st_uid, status.st_gid))
            assert (data_dir / "pgdata").stat().st_uid == status.st_uid
            assert {path.stat().st_uid for path in (data_dir / "pgdata").rglob("*")} == {status.st_uid}
            assert data_dir.stat().st_uid == 0
    ((uid, gid),) = users
    with pytest.raises(KeyError):
        pwd.getpwuid(uid)
    with pytest.raises(KeyError):
        grp.getgrgid(gid)


def test_two_servers_started_by_root_have_different_users(data_dir: Path, place: Path) -> None:
    with EmbeddedPostgres(data_dir) as one, EmbeddedPostgres(place / "other") as other:
        assert Path(f"/proc/{one.pid}").stat().st_uid != Path(f"/proc/{other.pid}").stat().st_uid


def test_a_process_of_user_nobody_cannot_connect_read_signal_or_trace_postgres(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        errors = attempts(nobody().uid, server, data_dir / "pgdata")
        assert "Permission denied" in errors["connect"]
        assert {name: error.partition(":")[0] for name, error in errors.items()} == {
            "connect": "OperationalError",
            "read": "PermissionError",
            "signal": "PermissionError",
            "trace": "PermissionError",
        }
        assert ask(server.conninfo, "select 1") == 1


def test_a_process_of_another_user_that_reaches_the_socket_fails_authentication(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        (data_dir / "run").chmod(0o777)
        assert "Peer authentication failed" in attempts(nobody().uid, server, data_dir / "pgdata")["connect"]
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            connection.execute("create role reporting login")
        assert ask(f"{server.conninfo} user=reporting", "select current_user") == "reporting"


def test_without_a_free_uid_postgres_still_refuses_processes_of_user_nobody(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "UNNAMED", range(0))
    for _ in range(2):
        with EmbeddedPostgres(data_dir) as server:
            assert Path(f"/proc/{server.pid}").stat().st_uid == nobody().uid
            assert "Peer authentication failed" in attempts(nobody().uid, server, data_dir / "pgdata")["connect"]
            assert ask(server.conninfo, "select 1") == 1


def test_a_killed_postgres_restarts_as_the_same_user(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            connection.execute("create table kept as select 7 as number")
        uid = Path(f"/proc/{server.pid}").stat().st_uid
        os.kill(server.pid, signal.SIGKILL)
        until(partial(has_ended, server))
        assert ask(server.start(), "select number from kept") == 7
        assert Path(f"/proc/{server.pid}").stat().st_uid == uid


# Folders of older versions


def test_a_data_folder_of_user_nobody_gets_its_own_user_and_keeps_its_data(of_nobody: Path, place: Path) -> None:
    elsewhere = place / "elsewhere"
    elsewhere.write_text("of root")
    (of_nobody / "pgdata" / "base" / "link").symlink_to(elsewhere)
    stale = of_nobody / "run" / ".s.PGSQL.5432.lock"
    stale.write_text("999999\n")
    nobody().own(stale)
    for _ in range(2):
        with EmbeddedPostgres(of_nobody) as server:
            assert Path(f"/proc/{server.pid}").stat().st_uid in account.UNNAMED
            assert ask(server.conninfo, "select number from kept") == 7
            assert set(attempts(nobody().uid, server, of_nobody / "pgdata").values()) - {""}
            assert attempts(nobody().uid, server, of_nobody / "pgdata")["read"].startswith("PermissionError")
    assert elsewhere.stat().st_uid == 0
    assert mode(of_nobody / "pgdata") == 0o700
    owners = {path.stat().st_uid for path in (of_nobody / "pgdata").rglob("*") if not path.is_symlink()}
    assert owners == {(of_nobody / "pgdata").stat().st_uid}


def test_a_running_postgres_of_user_nobody_is_stopped_before_its_folder_changes_owner(of_nobody: Path) -> None:
    old = nobody()
    conninfo = f"host={of_nobody}/run user=postgres dbname=postgres"
    command = [find_binaries().program("postgres"), "-D", f"{of_nobody}/pgdata", "-k", f"{of_nobody}/run", "-h", ""]
    with subprocess.Popen(
        command, user=old.uid, group=old.gid, extra_groups=[], cwd="/", stderr=subprocess.DEVNULL
    ) as orphan:
        try:
            until(lambda: answers(conninfo))
            with EmbeddedPostgres(of_nobody) as server:
                assert orphan.wait(10) == 0
                assert ask(server.conninfo, "select number from kept") == 7
        finally:
            orphan.kill()


def test_a_start_refuses_a_data_folder_with_a_hard_link_to_a_file_of_root(of_nobody: Path, place: Path) -> None:
    secret = place / "secret"
    secret.write_text("of root")
    (of_nobody / "pgdata" / "base" / "second-name").hardlink_to(secret)
    for _ in range(2):
        with pytest.raises(
            StartRefused, match=r"file second-name .* has a second name elsewhere and belongs to user 0"
        ):
            EmbeddedPostgres(of_nobody).start()
    assert secret.stat().st_uid == 0


def test_a_data_folder_with_an_external_tablespace_stays_with_user_nobody(of_nobody: Path, place: Path) -> None:
    space = place / "space"
    space.mkdir()
    os.chown(space, nobody().uid, nobody().gid)
    (of_nobody / "pgdata" / "pg_tblspc" / "99999").symlink_to(space)
    with EmbeddedPostgres(of_nobody) as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid == nobody().uid
        assert "Peer authentication failed" in attempts(nobody().uid, server, of_nobody / "pgdata")["connect"]
        assert ask(server.conninfo, "select number from kept") == 7


def test_a_data_folder_restored_by_root_gets_its_own_user(of_nobody: Path) -> None:
    give(of_nobody, 0, 0)
    with EmbeddedPostgres(of_nobody) as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid in account.UNNAMED
        assert ask(server.conninfo, "select number from kept") == 7


def test_an_interrupted_change_of_owner_is_completed_by_the_next_start(of_nobody: Path) -> None:
    os.chown(of_nobody / "pgdata", 0, 0)
    for path in (of_nobody / "pgdata" / "base").rglob("*"):
        os.chown(path, account.UNNAMED[5], account.UNNAMED[5])
    with EmbeddedPostgres(of_nobody) as server:
        assert ask(server.conninfo, "select number from kept") == 7
        assert account_for(of_nobody / "pgdata").uid == Path(f"/proc/{server.pid}").stat().st_uid


def test_a_data_folder_given_to_an_ordinary_user_runs_postgres_as_that_user(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir):
        pass
    give(data_dir, 12345, 12345)
    with EmbeddedPostgres(data_dir) as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid == 12345
        assert attempts(12345, server, data_dir / "pgdata") == {"connect": "", "read": "", "signal": "", "trace": ""}
