"""The tables of statements name a test in each row, and each key in `pytest.mark.shows` is that of a row."""

from __future__ import annotations

import pytest

from tests.house.sources import ROOT
from tools import shown

ROWS = [key for page in shown.PAGES for key in shown.keys(page)]


@pytest.mark.parametrize("page", shown.PAGES)
def test_every_row_of_a_table_is_shown_by_a_test(page: str) -> None:
    assert [key for key in shown.keys(page) if key not in shown.showers()] == []


def test_every_key_that_a_test_carries_is_that_of_one_row() -> None:
    assert set(shown.showers()) - set(ROWS) == set()
    assert len(ROWS) == len(set(ROWS))


@pytest.mark.parametrize("page", shown.PAGES)
def test_every_row_of_such_a_table_has_a_key(page: str) -> None:
    rows = _rows((ROOT / page).read_text("utf-8"))
    assert rows
    assert [row for row in rows if "<!-- shows " not in row] == []


def _rows(text: str) -> list[str]:
    """Return the rows of the tables whose last column is headed `test` or `shown by`."""
    rows: list[str] = []
    inside = False
    for line in text.splitlines():
        if not line.startswith("|"):
            inside = False
        elif line.endswith(("| shown by |", "| test |")):
            inside = True
        elif inside and line.strip("|- :"):
            rows.append(line)
    return rows
