"""The parameters of a query are found where Postgres would find them, and nowhere else."""

from __future__ import annotations

import pytest

from fencepost.domain.query import numbered
from fencepost.errors import Refusal


@pytest.mark.parametrize(
    ("text", "args", "found"),
    [
        ("select 1", 0, "select 1"),
        ("select a ? 'k'", 0, "select a ? 'k'"),
        ("select ??", 0, "select ??"),
        ("select ?, ?", 2, "select $1, $2"),
        ("select a ?? ?", 1, "select a ? $1"),
        ("select a ? $1", 1, "select a ? $1"),
        ("select $2, $1, $2", 2, "select $2, $1, $2"),
        ("select '?', 'it''s ?', ?", 1, "select '?', 'it''s ?', $1"),
        (r"select E'\'?', ?", 1, r"select E'\'?', $1"),
        ('select "a?", ?', 1, 'select "a?", $1'),
        ("select ? -- ?\n, ?", 2, "select $1 -- ?\n, $2"),
        ("select /* ? */ ?", 1, "select /* ? */ $1"),
        ("select $$?$$, $a$ $$ ? $a$, ?", 1, "select $$?$$, $a$ $$ ? $a$, $1"),
    ],
)
def test_parameters_are_numbered(text: str, args: int, found: str) -> None:
    assert numbered(text, args) == found


@pytest.mark.parametrize(
    ("text", "args"), [("select ?", 2), ("select ?, ?", 1), ("select $1", 0), ("select $3", 2), ("select '?'", 1)]
)
def test_their_number_must_be_that_of_the_arguments(text: str, args: int) -> None:
    with pytest.raises(Refusal, match="arguments"):
        numbered(text, args)
