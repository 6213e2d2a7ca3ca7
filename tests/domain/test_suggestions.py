"""Hints for misspelt names: a similar name or none, and cheap for every input."""

from __future__ import annotations

import time
from collections.abc import Sequence

import hypothesis.strategies as st
import pytest
from hypothesis import given

from fencepost.domain.request_budget import budgeted
from fencepost.domain.suggestions import _distance, hint, nearest, shortened

METHODS = ["awf.task/create-and-execute", "awf.task/cancel", "awf.task/retry", "awf.task/poll", "awf.workflow/cancel"]


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("awf.task/creat", METHODS, "awf.task/create-and-execute"),
        ("awf.task/craete-and-execute", METHODS, "awf.task/create-and-execute"),
        ("creat", METHODS, "awf.task/create-and-execute"),
        ("awf.tsk/poll", METHODS, "awf.task/poll"),
        ("AWF.TASK/POLL", METHODS, "awf.task/poll"),
        ("awf.task/finish", METHODS, None),
        ("awf.task/party", METHODS, None),
        ("totally/unrelated", METHODS, None),
        ("x", ["y", "id", "to"], None),
        ("ab", ["abc"], None),
        ("execID", ["id", "execId", "result"], "execId"),
        ("param", ["params", "path"], "params"),
        ("", METHODS, None),
        ("a" * 201, ["a" * 200], None),
    ],
)
def test_a_hint_is_a_similar_name_or_none(name: str, known: Sequence[str], meant: str | None) -> None:
    assert nearest(name, known) == meant
    assert hint(name, known) == ("" if meant is None else f"; did you mean {meant!r}?")


def slow_distance(one: str, other: str) -> int:
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i in range(len(one) + 1):
        for j in range(len(other) + 1):
            if not (i and j):
                table[i][j] = i + j
                continue
            table[i][j] = min(
                table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (one[i - 1] != other[j - 1])
            )
            if i > 1 < j and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]


@given(st.text("abc", max_size=8), st.text("abc", max_size=8), st.integers(1, 3))
def test_the_bounded_distance_equals_the_full_edit_distance(one: str, other: str, most: int) -> None:
    assert _distance(one, other, most) == min(slow_distance(one, other), most + 1)


@pytest.mark.parametrize(
    "known",
    [
        [f"acme/resize-{number:06}" for number in range(10_000)],
        ["a" * (180 + number % 20) + str(number) for number in range(10_000)],
    ],
)
@pytest.mark.parametrize("name", ["acme/resize-00120x", "a" * 190 + "bcd", "zzz", "b" * 199])
def test_a_hint_among_thousands_of_names_is_cheap(name: str, known: Sequence[str]) -> None:
    begun = time.process_time()
    nearest(name, known)
    assert time.process_time() - begun < 0.5


def test_a_request_gets_at_most_ten_hints() -> None:
    with budgeted():
        hints = [nearest("awf.task/pol", METHODS) for _ in range(1000)]
    assert hints == ["awf.task/poll"] * 10 + [None] * 990
    assert nearest("awf.task/pol", METHODS) == "awf.task/poll"


def test_a_repeated_value_is_shortened() -> None:
    assert shortened("x" * 200) == "x" * 200
    assert shortened("x" * 1_000_000) == "x" * 199 + "…"
