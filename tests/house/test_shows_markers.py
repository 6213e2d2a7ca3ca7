"""Each row of a statement table has a test, and each key of a `pytest.mark.shows` marker has a row."""

from __future__ import annotations

import pytest

from tests.house.sources import ROOT
from tools import shown

ROWS = [key for page in shown.PAGES for key in shown.keys(page)]


@pytest.mark.parametrize("page", shown.PAGES)
def test_every_row_of_a_statement_table_is_shown_by_a_test(page: str) -> None:
    assert [key for key in shown.keys(page) if key not in shown.showers()] == []


def test_every_key_in_a_shows_marker_belongs_to_one_row() -> None:
    assert set(shown.showers()) - set(ROWS) == set()
    assert len(ROWS) == len(set(ROWS))


@pytest.mark.parametrize("page", shown.PAGES)
def test_every_row_of_a_statement_table_has_a_key(page: str) -> None:
    rows = _rows((ROOT / page).read_text("utf-8"))
    assert rows
    assert [row for row in rows if "<!-- shows " not in row] == []


def _rows(text: str) -> list[str]:
    """Return the rows of the tables with `test` or `shown by` as the heading of the last column."""
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
