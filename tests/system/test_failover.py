"""A server that knows both hosts continues when its primary dies and the standby is promoted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from fencepost.store.embedded import EmbeddedPostgres
from fencepost.store.migrations import migrate
from tests.fixtures.servers import running_server
from tests.fixtures.waiting import until

_USER = 12345


class Cluster(NamedTuple):
    """A primary and its standby."""

    primary: EmbeddedPostgres
    standby: EmbeddedPostgres

    @property
    def conninfo(self) -> str:
        """The connection string of both hosts."""
        hosts = [str(conninfo_to_dict(one.conninfo)["host"]) for one in self]
        return make_conninfo(self.primary.conninfo, host=",".join(hosts))

    def until_replayed(self) -> None:
        """Wait until the standby has replayed the WAL of the primary."""
        with psycopg.connect(self.primary.conninfo) as connection:
            (position,) = connection.execute("select pg_current_wal_flush_lsn()::text").fetchall()[0]
        with psycopg.connect(self.standby.conninfo, autocommit=True) as connection:
            text = f"select pg_last_wal_replay_lsn() >= '{position}'::pg_lsn".encode()
            until(lambda: connection.execute(text).fetchall() == [(True,)])

    def fail_over(self) -> None:
        """Stop the primary and promote the standby."""
        self.primary.stop()
        with psycopg.connect(self.standby.conninfo, autocommit=True) as connection:
            connection.execute("select pg_promote(true, 30)")


def _give_to_a_user(folder: Path) -> None:
    """Give a folder to an ordinary user: root starts each server as a user that cannot read the other's files."""
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, _USER, _USER)


@pytest.fixture
def cluster(open_folder: Path, tmp_path: Path) -> Iterator[Cluster]:
    folder = open_folder / tmp_path.name
    options = {"fsync": "off", "max_connections": "40"}
    with EmbeddedPostgres(folder / "one", options=options) as primary:
        migrate(primary.conninfo)
    shutil.copytree(folder / "one" / "pgdata", folder / "other" / "pgdata")
    (folder / "other" / "pgdata" / "standby.signal").touch()
    _give_to_a_user(folder / "one")
    _give_to_a_user(folder / "other")
    with EmbeddedPostgres(folder / "one", options=options) as primary:
        follow = {**options, "primary_conninfo": primary.conninfo, "hot_standby": "on"}
        with EmbeddedPostgres(folder / "other", options=follow) as standby:
            yield Cluster(primary, standby)


def test_a_server_with_both_hosts_continues_on_the_promoted_standby(cluster: Cluster) -> None:
    with running_server(cluster.conninfo) as server:
        server.define()
        lease = server.started()
        cluster.until_replayed()
        cluster.fail_over()
        until(lambda: server.send("GET", "/readyz")[0] == 200, timeout=20)
        assert server.rpc("awf.task/success", lease)["resource"]["outcome"] == "succeeded"
        assert server.create()["status"] == "ready"


def test_a_start_on_a_standby_is_refused_in_one_line(cluster: Cluster) -> None:
    command = [sys.executable, "-m", "fencepost", "serve", "--port", "0", "--database-url", cluster.standby.conninfo]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is a standby, which takes no writes" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
