"""The retention setting: its accepted forms, and the width of the partitions that follows from it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from click.testing import CliRunner

from fencepost.cli.serve import serve
from fencepost.cli.worker import decode, encode
from fencepost.domain.history import partition_width
from fencepost.errors import StartRefused
from fencepost.settings import Settings, read_retention

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(("text", "retention"), [("90d", 90 * DAY), ("12h", 12 * HOUR), (" 1h ", HOUR), (None, None)])
def test_a_retention_is_a_number_of_days_or_hours_or_none(text: str | None, retention: timedelta | None) -> None:
    assert read_retention(text) == retention


@pytest.mark.parametrize(
    "text", ["", "0d", "90", "d", "-1d", "1.5d", "90 d", "30m", "1D", "forever", "36501d", "999999d"]
)
def test_an_invalid_retention_is_refused_with_setting_value_and_expected_form(text: str) -> None:
    with pytest.raises(StartRefused, match=r"^--retention .* must be .* such as 90d or 12h") as refused:
        read_retention(text)
    assert repr(text) in str(refused.value)


def test_the_serve_command_refuses_an_invalid_retention() -> None:
    result = CliRunner().invoke(serve, [], env={"FENCEPOST_RETENTION": "soon"})
    assert isinstance(result.exception, StartRefused)
    assert "--retention 'soon'" in str(result.exception)


def test_the_retention_is_passed_to_worker_processes() -> None:
    settings = Settings(retention=36 * HOUR)
    assert decode(encode(settings)) == settings
    assert decode(encode(Settings())).retention is None


@pytest.mark.parametrize(
    ("retention", "width"),
    [
        (None, 30 * DAY),
        (HOUR, HOUR),
        (10 * HOUR, HOUR),
        (12 * HOUR, 2 * HOUR),
        (90 * DAY, 9 * DAY),
        (999 * DAY, 30 * DAY),
    ],
)
def test_a_partition_spans_a_tenth_of_the_retention(retention: timedelta | None, width: timedelta) -> None:
    assert partition_width(retention) == width


@pytest.mark.parametrize("retention", [hours * HOUR for hours in (1, 9, 11, 24, 100, 24 * 30, 24 * 300)])
def test_a_retention_of_up_to_300_days_needs_at_most_14_partitions(retention: timedelta) -> None:
    # One partition is about to be dropped, and three cover the present and the two widths ahead.
    assert -(-retention // partition_width(retention)) + 1 + 3 <= 14
