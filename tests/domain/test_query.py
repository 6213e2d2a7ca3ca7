"""The tokenizer of queries finds parameters exactly where Postgres does."""

from __future__ import annotations

import sys

import pytest

from fencepost.domain.query import numbered, tokens
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
        ("select /* a /* ? */ ? */ ?", 1, "select /* a /* ? */ ? */ $1"),
        ("select a$1$b, name$x$ + ?", 1, "select a$1$b, name$x$ + $1"),
        ('select date\'?\' + ?, U&"a""?"', 1, 'select date\'?\' + $1, U&"a""?"'),
        ("select $$?$$, $a$ $$ ? $a$, ?", 1, "select $$?$$, $a$ $$ ? $a$, $1"),
    ],
)
def test_question_marks_of_a_query_become_numbered_parameters(text: str, args: int, found: str) -> None:
    assert numbered(text, args) == found


HALF = 50_000


@pytest.mark.parametrize(
    "text",
    [
        *("/*" * HALF, "$$" * HALF, "$a$" * 33_333, "'" * 99_999, '"' * 99_999, "e'" * HALF, "e'\\" * 33_333),
        *("-- " * 33_333, "$a" * HALF, "?" * 99_999, "/*" * 49_000 + "*/" * 900),
        "".join(f"$a{number}$" for number in range(14_000)),
    ],
)
def test_the_tokenizer_needs_linear_time(text: str) -> None:
    steps = 0

    def count(frame: object, event: str, arg: object) -> None:
        nonlocal steps
        steps += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        pieces = list(tokens(text))
    finally:
        sys.setprofile(None)
    assert "".join(piece.text for piece in pieces) == text
    # Long tokens are searched in C, which reads each character once per token.
    assert steps <= 10 * len(text)


def test_a_query_beyond_100000_characters_is_refused() -> None:
    with pytest.raises(Refusal, match="at most 100000 characters"):
        numbered("select 1".ljust(100_001), 0)


@pytest.mark.parametrize(
    "text", ["select PG_Advisory_lock(1)", 'select "pg_try_advisory_xact_lock"(1)', "$1::pg_advisory"]
)
def test_a_query_that_calls_a_lock_function_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="may not take locks"):
        numbered(text, 0)


def test_a_lock_function_in_a_string_or_comment_is_accepted() -> None:
    assert numbered("select 'pg_advisory_lock(1)' -- pg_advisory_lock", 0)


@pytest.mark.parametrize(
    ("text", "args"), [("select ?", 2), ("select ?, ?", 1), ("select $1", 0), ("select $3", 2), ("select '?'", 1)]
)
def test_a_wrong_number_of_arguments_is_refused(text: str, args: int) -> None:
    with pytest.raises(Refusal, match="arguments"):
        numbered(text, args)
