"""Every connection has our time limits, unless its conninfo sets others."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from fencepost.store.connection import connect
from fencepost.store.conninfo import with_limits
from tests.fixtures.database_settings import set_on_database


def limits(conninfo: str, **options: bool) -> dict[str, object]:
    return dict(conninfo_to_dict(with_limits(conninfo, **options)))


def test_a_connection_with_a_silent_network_times_out() -> None:
    found = limits("postgresql://db.example/x")
    assert (found["connect_timeout"], found["tcp_user_timeout"]) == ("5", "10000")
    assert (found["keepalives"], found["keepalives_idle"]) == ("1", "5")
    assert (found["keepalives_interval"], found["keepalives_count"]) == ("3", "3")


@pytest.mark.parametrize(
    ("name", "value"), [("connect_timeout", "30"), ("tcp_user_timeout", "500"), ("keepalives", "0")]
)
def test_a_time_limit_in_the_url_wins(name: str, value: str) -> None:
    assert limits(f"postgresql://db.example/x?{name}={value}")[name] == value
    assert limits(f"host=db.example {name}={value}")[name] == value


def test_a_time_limit_in_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "30")
    assert "connect_timeout" not in limits("postgresql://db.example/x")


def test_several_hosts_share_the_connect_timeout_and_the_writable_one_is_used() -> None:
    found = limits("postgresql://a.example,b.example/x")
    assert (found["target_session_attrs"], found["connect_timeout"]) == ("read-write", "2")
    assert limits("host=a,b target_session_attrs=any")["target_session_attrs"] == "any"
    assert "target_session_attrs" not in limits("host=a,b", writes=False)


def test_options_of_the_url_are_added_to_ours_and_win(database: str) -> None:
    with connect(f"{database} options='-c statement_timeout=7s -c work_mem=5MB'") as connection:
        shown = [
            connection.execute(f"show {name}".encode()).fetchall()[0][0]
            for name in ("statement_timeout", "work_mem", "jit", "timezone")
        ]
    assert shown == ["7s", "5MB", "off", "UTC"]


def test_sessions_of_the_server_ignore_the_idle_timeout_of_the_database(database: str) -> None:
    set_on_database(database, {"idle_session_timeout": "1s"})
    with connect(database) as connection:
        assert connection.execute("show idle_session_timeout").fetchall() == [("0",)]
