"""The Postgres of our own under real kills: whoever is killed, and whenever, the next start finds its way."""

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


def test_a_second_server_on_the_folder_is_refused_at_once_and_told_who_holds_it(data_dir: Path) -> None:
    with owner(data_dir) as first:
        with pytest.raises(StartRefused, match=rf"{data_dir} is in use .*\(process {first.process.pid}\)"):
            EmbeddedPostgres(data_dir).start()
        assert ask(first.conninfo, "select 1") == 1


def test_four_processes_that_start_at_once_on_an_empty_folder_make_one_server(data_dir: Path) -> None:
    with child(data_dir) as a, child(data_dir) as b, child(data_dir) as c, child(data_dir) as d:
        processes = (a, b, c, d)
        until(lambda: sum(process.poll() is not None for process in processes) == 3)
        (winner,) = (process for process in processes if process.poll() is None)
        assert winner.stdout is not None
        assert ask(json.loads(winner.stdout.readline())["conninfo"], "select 1") == 1


def test_postgres_does_not_hold_the_lock_of_a_dead_owner(data_dir: Path) -> None:
    with owner(data_dir) as first:
        os.kill(first.pid, signal.SIGSTOP)
        first.kill()
        with (data_dir / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert not is_gone(first.pid)
        os.kill(first.pid, signal.SIGCONT)
        until(lambda: is_gone(first.pid))


# Ends of all kinds


@on_linux
def test_killing_the_owner_again_and_again_loses_nothing_acknowledged_and_leaves_no_server(data_dir: Path) -> None:
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
    """Insert number after number, kill the owner on the way, and return the first one not acknowledged."""
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


def test_the_owner_may_be_killed_and_followed_without_a_pause(data_dir: Path) -> None:
    for _ in range(3):
        with owner(data_dir) as server:
            psycopg.connect(server.conninfo).close()
            server.kill()
    with EmbeddedPostgres(data_dir) as again:
        assert ask(again.conninfo, "select 1") == 1


def test_a_killed_server_is_noticed_and_started_again(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            connection.execute("create table kept as select 7 as number")
            os.kill(server.pid, signal.SIGKILL)
        until(partial(has_ended, server))
        assert ask(server.start(), "select number from kept") == 7


@on_linux
def test_a_zombie_that_nobody_reaps_does_not_block_the_folder(data_dir: Path) -> None:
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
def test_a_lock_file_that_names_a_stranger_does_not_block_the_folder(data_dir: Path) -> None:
    """As after a restart of a container, where the same numbers come again."""
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
def test_a_folder_in_which_a_process_works_is_not_deserted(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        assert not is_deserted(data_dir / "pgdata")
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: is_deserted(data_dir / "pgdata"))


def test_an_orphan_that_still_serves_the_folder_is_stopped_and_followed(data_dir: Path) -> None:
    """As on macOS after kill -9 of the owner: nothing there ends a child with its parent."""
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
def test_a_kill_in_the_middle_of_the_setup_leaves_nothing_that_looks_finished(data_dir: Path) -> None:
    with child(data_dir) as process:
        until(lambda: list(data_dir.glob("pgdata.new-*/pgdata/PG_VERSION")))
        process.kill()
        process.wait()
    assert not (data_dir / "pgdata").exists()
    with EmbeddedPostgres(data_dir) as server:
        assert ask(server.conninfo, "select 1") == 1
        assert not list(data_dir.glob("pgdata.new-*"))


def test_a_ctrl_c_on_the_terminal_leaves_the_server_to_its_owner(data_dir: Path) -> None:
    with owner(data_dir, "ignore-ctrl-c") as server:
        with psycopg.connect(server.conninfo) as connection:
            os.killpg(server.process.pid, signal.SIGINT)
            assert connection.execute("select pg_sleep(0.5)").rowcount == 1
        assert ask(server.conninfo, "select 1") == 1


def test_a_server_started_from_a_thread_outlives_the_thread(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    with psycopg.connect(server.conninfo) as connection:
        assert connection.execute("select pg_sleep(0.5)").rowcount == 1
    assert server.alive
    server.stop()


def test_a_server_that_ignores_a_stop_is_killed(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        os.kill(server.pid, signal.SIGSTOP)
        assert server._postmaster is not None
        server._postmaster.stop(((signal.SIGINT, 0.1), (signal.SIGQUIT, 0.1), (signal.SIGKILL, 10)))
        assert not server.alive
        assert ask(server.start(), "select 1") == 1
