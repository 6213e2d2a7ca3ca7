"""The embedded Postgres under real kills: the next start succeeds after any process was killed at any time."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import threading
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fencepost.errors import StartRefused
from fencepost.store.embedded import EmbeddedPostgres
from fencepost.store.embedded.account import account_for
from fencepost.store.embedded.binaries import find_binaries
from fencepost.store.embedded.leftovers import is_deserted
from tests.fixtures.waiting import until
from tests.store.embedded_servers import (
    Owner,
    answers,
    ask,
    child,
    has_ended,
    is_gone,
    on_linux,
    owner,
    states,
)

# The lock


def test_a_second_server_on_the_data_folder_is_refused_with_the_owner(data_dir: Path) -> None:
    with owner(data_dir) as first:
        with pytest.raises(StartRefused, match=rf"{data_dir} is in use .*\(process {first.process.pid}\)"):
            EmbeddedPostgres(data_dir).start()
        assert ask(first.conninfo, "select 1") == 1


def test_four_concurrent_starts_on_an_empty_folder_start_one_postgres(data_dir: Path) -> None:
    with child(data_dir) as a, child(data_dir) as b, child(data_dir) as c, child(data_dir) as d:
        processes = (a, b, c, d)
        until(lambda: sum(process.poll() is not None for process in processes) == 3)
        (winner,) = (process for process in processes if process.poll() is None)
        assert winner.stdout is not None
        assert ask(json.loads(winner.stdout.readline())["conninfo"], "select 1") == 1


def test_postgres_does_not_inherit_the_folder_lock_of_a_dead_owner(data_dir: Path) -> None:
    with owner(data_dir) as first:
        os.kill(first.pid, signal.SIGSTOP)
        first.kill()
        with (data_dir / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert not is_gone(first.pid)
        os.kill(first.pid, signal.SIGCONT)
        until(lambda: is_gone(first.pid))


# Kills and stops


@on_linux
def test_repeated_kills_of_the_owner_lose_no_acknowledged_row_and_leave_no_postgres(data_dir: Path) -> None:
    acknowledged = 0
    for _ in range(3):
        with owner(data_dir) as server:
            connection = psycopg.connect(server.conninfo, autocommit=True)
            connection.execute("create table if not exists kept (number int)")
            assert ask(server.conninfo, "select count(*) from kept") >= acknowledged
            acknowledged = insert_and_kill(connection, server, acknowledged)
            until(partial(is_gone, server.pid))
    with EmbeddedPostgres(data_dir) as again:
        missing = f"select count(*) from generate_series(0, {acknowledged - 1}) n where n not in (select * from kept)"
        assert ask(again.conninfo, missing) == 0
        assert acknowledged >= 300


def insert_and_kill(connection: psycopg.Connection[Any], server: Owner, number: int) -> int:
    """Insert numbers, kill the owner meanwhile, and return the first number without an acknowledgement."""
    last = number + 100
    try:
        while True:
            connection.execute("insert into kept select %s", [number])
            number += 1
            if number == last:
                server.process.kill()
    except psycopg.OperationalError:
        connection.close()
        return number


def test_a_start_right_after_the_owner_was_killed_succeeds(data_dir: Path) -> None:
    for _ in range(3):
        with owner(data_dir) as server:
            psycopg.connect(server.conninfo).close()
            server.kill()
    with EmbeddedPostgres(data_dir) as again:
        assert ask(again.conninfo, "select 1") == 1


def test_a_killed_postgres_is_noticed_and_restarted(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            connection.execute("create table kept as select 7 as number")
            os.kill(server.pid, signal.SIGKILL)
        until(partial(has_ended, server))
        assert ask(server.start(), "select number from kept") == 7


@on_linux
def test_an_unreaped_zombie_does_not_block_the_data_folder(data_dir: Path) -> None:
    with owner(data_dir, "never-reaped") as first:
        os.kill(first.owner, signal.SIGSTOP)
        until(lambda: states(first.owner) == "T")
        os.kill(first.pid, signal.SIGKILL)
        os.kill(first.owner, signal.SIGKILL)
        until(lambda: states(first.owner) == states(first.pid) == "Z")
        with EmbeddedPostgres(data_dir) as server:
            assert ask(server.conninfo, "select 1") == 1
            assert states(first.pid) == "Z"


@on_linux
def test_a_lock_file_with_the_pid_of_another_program_does_not_block_the_folder(data_dir: Path) -> None:
    """After a restart of a container, another program may have the recorded pid."""
    EmbeddedPostgres(data_dir).__enter__().stop()
    account = account_for(data_dir / "pgdata")
    with subprocess.Popen(["sleep", "60"], user=account.uid, stdin=subprocess.DEVNULL) as stranger:
        lock_file = data_dir / "pgdata" / "postmaster.pid"
        lock_file.write_text(f"{stranger.pid}\n{data_dir}/pgdata\n1\n5432\n{data_dir}/run\n\n  1  1\nready\n")
        account.own(lock_file)
        lock_file.chmod(0o600)
        try:
            with EmbeddedPostgres(data_dir) as server:
                assert ask(server.conninfo, "select 1") == 1
            assert stranger.poll() is None
        finally:
            stranger.kill()


@on_linux
def test_a_data_folder_with_a_running_process_is_not_deserted(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        assert not is_deserted(data_dir / "pgdata")
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: is_deserted(data_dir / "pgdata"))


def test_an_orphaned_postgres_is_stopped_before_the_next_start(data_dir: Path) -> None:
    """On macOS, Postgres survives a kill -9 of its owner."""
    EmbeddedPostgres(data_dir).__enter__().stop()
    account = account_for(data_dir / "pgdata")
    conninfo = f"host={data_dir}/run user=postgres dbname=postgres"
    command = [find_binaries().program("postgres"), "-D", f"{data_dir}/pgdata", "-k", f"{data_dir}/run", "-h", ""]
    group = {"group": account.gid, "extra_groups": []} if account.is_foreign else {}
    with subprocess.Popen(command, user=account.uid, cwd="/", stderr=subprocess.DEVNULL, **group) as orphan:  # type: ignore[call-overload]
        try:
            until(lambda: answers(conninfo))
            with EmbeddedPostgres(data_dir) as server:
                assert orphan.wait(10) == 0
                assert ask(server.conninfo, "select 1") == 1
        finally:
            orphan.kill()


@on_linux
def test_a_kill_during_initdb_leaves_no_data_folder_that_looks_complete(data_dir: Path) -> None:
    with child(data_dir) as process:
        until(lambda: list(data_dir.glob("pgdata.new-*/pgdata/PG_VERSION")))
        process.kill()
        process.wait()
    assert not (data_dir / "pgdata").exists()
    with EmbeddedPostgres(data_dir) as server:
        assert ask(server.conninfo, "select 1") == 1
        assert not list(data_dir.glob("pgdata.new-*"))


def test_a_ctrl_c_on_the_terminal_does_not_stop_postgres(data_dir: Path) -> None:
    with owner(data_dir, "ignore-ctrl-c") as server:
        with psycopg.connect(server.conninfo) as connection:
            os.killpg(server.process.pid, signal.SIGINT)
            assert connection.execute("select pg_sleep(0.5)").rowcount == 1
        assert ask(server.conninfo, "select 1") == 1


def test_postgres_started_from_a_thread_outlives_the_thread(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    with psycopg.connect(server.conninfo) as connection:
        assert connection.execute("select pg_sleep(0.5)").rowcount == 1
    assert server.alive
    server.stop()


def test_a_postgres_that_ignores_a_stop_is_killed(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        os.kill(server.pid, signal.SIGSTOP)
        assert server._postmaster is not None
        server._postmaster.stop(((signal.SIGINT, 0.1), (signal.SIGQUIT, 0.1), (signal.SIGKILL, 10)))
        assert not server.alive
        assert ask(server.start(), "select 1") == 1
