"""Due times of a schedule, its document, and the start or skip of a late due time."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from fencepost.domain.cron import Cron
from fencepost.domain.schedule import ScheduleDefinition, start_or_skip
from fencepost.errors import Refusal
from tests.fixtures.surface import DOCUMENTS

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def schedule(**members: Any) -> ScheduleDefinition:
    document = {"kind": "schedule", "name": "demo/x", "schedule": "* * * * *", "task-request": {"definition": "demo/y"}}
    read = DOCUMENTS.read(
        msgspec.json.encode(document | {name.replace("_", "-"): one for name, one in members.items()})
    )
    assert isinstance(read, ScheduleDefinition)
    read.compile()
    return read


def next_due(text: str, zone: str, since: str, count: int = 3) -> list[str]:
    cron, due, found = Cron(text, zone), datetime.fromisoformat(since), []
    for _ in range(count):
        following = cron.after(due)
        assert following is not None
        due = following
        found.append(due.strftime("%d %H:%M:%S"))
    return found


@pytest.mark.parametrize(
    ("alias", "first", "second"),
    [
        ("@yearly", "2027-01-01 00:00", "2028-01-01 00:00"),
        ("@annually", "2027-01-01 00:00", "2028-01-01 00:00"),
        ("@monthly", "2026-02-01 00:00", "2026-03-01 00:00"),
        ("@weekly", "2026-01-04 00:00", "2026-01-11 00:00"),
        ("@daily", "2026-01-02 00:00", "2026-01-03 00:00"),
        ("@midnight", "2026-01-02 00:00", "2026-01-03 00:00"),
        ("@HOURLY", "2026-01-01 13:00", "2026-01-01 14:00"),
        ("*/20 * * * *", "2026-01-01 12:20", "2026-01-01 12:40"),
        ("0 9 L * *", "2026-01-31 09:00", "2026-02-28 09:00"),
        ("0 9 * * mon-fri", "2026-01-02 09:00", "2026-01-05 09:00"),
    ],
)
def test_the_next_due_times_of_an_expression_or_alias(alias: str, first: str, second: str) -> None:
    cron = Cron(alias, "UTC")
    due = cron.after(NOON)
    assert due is not None
    following = cron.after(due)
    assert following is not None
    assert [f"{due:%Y-%m-%d %H:%M}", f"{following:%Y-%m-%d %H:%M}"] == [first, second]


def test_the_first_of_six_fields_is_the_second() -> None:
    assert next_due("*/20 0 * * * *", "UTC", "2026-01-01T12:59:59Z") == ["01 13:00:00", "01 13:00:20", "01 13:00:40"]
    assert next_due("15 30 2 * * *", "UTC", "2026-01-01T12:00Z", 1) == ["02 02:30:15"]


# The nights in which clocks go forward and back.
@pytest.mark.parametrize(
    ("text", "zone", "since", "due"),
    [
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", ["29 01:00:00", "30 00:30:00", "31 00:30:00"]),
        ("15 30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", ["29 01:00:15", "30 00:30:15", "31 00:30:15"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", ["25 00:30:00", "26 01:30:00", "27 01:30:00"]),
        ("15 30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", ["25 00:30:15", "26 01:30:15", "27 01:30:15"]),
        ("30 2 * * *", "America/New_York", "2026-03-07T12:00Z", ["08 07:00:00", "09 06:30:00", "10 06:30:00"]),
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00Z", ["01 05:30:00", "02 06:30:00", "03 06:30:00"]),
        # An hourly schedule is due every hour through both changes.
        ("@hourly", "Europe/Berlin", "2026-03-29T00:30Z", ["29 01:00:00", "29 02:00:00", "29 03:00:00"]),
        ("@hourly", "Europe/Berlin", "2026-10-25T00:30Z", ["25 01:00:00", "25 02:00:00", "25 03:00:00"]),
    ],
)
def test_a_change_of_clocks_neither_loses_nor_doubles_a_due_time(
    text: str, zone: str, since: str, due: list[str]
) -> None:
    assert next_due(text, zone, since) == due


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "UTC"])
@pytest.mark.parametrize("text", ["30 2 * * *", "0,30 0-4 * * *", "*/20 * * * *", "15 0 0 * * *", "*/40 59 1 * * *"])
def test_the_next_due_time_is_later_than_any_start_around_a_change_of_clocks(text: str, zone: str) -> None:
    cron = Cron(text, zone)
    for month, day in ((3, 7), (3, 28), (4, 4), (10, 3), (10, 24), (10, 31)):
        begin = datetime(2026, month, day, tzinfo=UTC)
        due = list(cron.between(begin, begin + timedelta(days=3)))
        assert due == sorted(set(due))
        for at in (begin + 31 * MINUTE * step for step in range(90)):
            following = cron.after(at)
            assert following is not None
            assert following == next((one for one in due if one > at), following)
            assert following > at


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "UTC"])
@pytest.mark.parametrize("text", ["30 2 * * *", "0,30 0-4 * * *", "*/20 * * * *", "15 30 2 * * *"])
def test_due_times_are_the_same_in_both_directions(text: str, zone: str) -> None:
    cron = Cron(text, zone)
    for month in (3, 10, 11):
        begin = datetime(2026, month, 1, tzinfo=UTC)
        due = list(cron.between(begin, begin + timedelta(days=30)))
        for count in (1, 3, 7):
            for at in itertools.islice(due, count, None, 5):
                assert cron.nth_before(at, count, since=begin) == due[due.index(at) - count]


@pytest.mark.parametrize(
    ("members", "path", "said"),
    [
        ({"schedule": "61 * * * *"}, "schedule", "bad minute"),
        ({"schedule": "* * * *"}, "schedule", "wrong number of fields"),
        ({"schedule": "* * * * mon-sun"}, "schedule", "bad day-of-week"),
        ({"schedule": "@reboot"}, "schedule", "@yearly, @annually, @monthly"),
        ({"schedule": "0 0 30 2 *"}, "schedule", "bad day-of-month"),
        ({"schedule": "0 0 */31 2 mon#5"}, "schedule", "is never due"),
        ({"timezone": "Europe/Berln"}, "timezone", "did you mean 'Europe/Berlin'"),
        ({"timezone": "../etc/passwd"}, "timezone", "is not a time zone"),
        ({"timezone": "America"}, "timezone", "is not a time zone"),
        ({"timezone": "a\0b"}, "timezone", "is not a time zone"),
        ({"workflow_request": {"definition": "demo/z"}}, "task-request", "exactly one of"),
        (
            {"task_request": {"definition": "demo/y", "executeAt": "2026-01-01"}},
            "task-request.executeAt",
            "a schedule sets the time",
        ),
    ],
)
def test_an_invalid_schedule_is_refused_with_the_path_of_its_member(
    members: dict[str, Any], path: str, said: str
) -> None:
    with pytest.raises(Refusal) as caught:
        schedule(**members)
    assert caught.value.field == path
    assert said in caught.value.message


def test_a_schedule_that_starts_nothing_is_refused() -> None:
    with pytest.raises(Refusal, match="exactly one of 'task-request' and 'workflow-request'"):
        ScheduleDefinition(name="demo/x", schedule="@daily").compile()


def test_jitter_is_deterministic_for_a_schedule_and_a_due_time() -> None:
    one, same, other = (
        schedule(jitter_seconds=600),
        schedule(jitter_seconds=600),
        schedule(name="b/x", jitter_seconds=600),
    )
    due = [NOON + step * MINUTE for step in range(50)]
    put_off = [one.starts_at(at) - at for at in due]
    assert put_off == [same.starts_at(at) - at for at in due]
    assert len({*put_off, *(other.starts_at(at) - at for at in due)}) == 100
    assert all(timedelta() <= by < timedelta(minutes=10) for by in put_off)
    assert schedule().starts_at(NOON) == NOON


def test_a_due_time_within_the_start_deadline_is_started() -> None:
    assert start_or_skip(schedule(), NOON, NOON + MINUTE) == (NOON, None, NOON + MINUTE)


def test_due_times_later_than_the_start_deadline_are_skipped_in_one_step() -> None:
    now = NOON + timedelta(days=400, seconds=30)
    assert start_or_skip(schedule(), NOON, now) == (NOON, NOON + timedelta(days=400), NOON + timedelta(days=400))


def test_the_newest_missed_due_times_are_caught_up() -> None:
    definition, now = schedule(catch_up=3), NOON + timedelta(days=400, seconds=30)
    oldest_kept = NOON + timedelta(days=400) - 3 * MINUTE
    assert start_or_skip(definition, NOON, now) == (NOON, oldest_kept, oldest_kept)
    assert start_or_skip(definition, oldest_kept, now) == (oldest_kept, None, oldest_kept + MINUTE)


def test_missed_due_times_within_the_catch_up_are_all_started() -> None:
    assert start_or_skip(schedule(catch_up=100), NOON, NOON + 5 * MINUTE).until is None


def test_the_start_deadline_does_not_count_the_jitter() -> None:
    definition = schedule(jitter_seconds=3600, start_deadline_seconds=0)
    assert start_or_skip(definition, NOON, NOON + 60 * MINUTE).until is None
    assert start_or_skip(definition, NOON, NOON + 61 * MINUTE).until == NOON + MINUTE


def test_the_catch_up_of_a_yearly_schedule_ends_at_its_first_due_time() -> None:
    definition = schedule(schedule="@yearly", catch_up=100)
    due, now = datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 6, 1, tzinfo=UTC)
    assert definition.cron.nth_before(now, 100, since=due) == due
    assert start_or_skip(definition, due, now) == (due, None, datetime(2028, 1, 1, tzinfo=UTC))
