from __future__ import annotations

from fencepost_sdk.backoff import Backoff


def highest(low: float, high: float) -> float:
    return high


def lowest(low: float, high: float) -> float:
    return low


def test_the_longest_delay_doubles_up_to_fifteen_seconds() -> None:
    backoff = Backoff(uniform=highest)
    delays = [backoff.next() for _ in range(10)]
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == 15.0


def test_delays_are_random_and_never_zero() -> None:
    assert Backoff(uniform=lowest).next() == 0.025


def test_retry_after_is_the_shortest_delay() -> None:
    assert Backoff(uniform=lowest).next(retry_after=7.0) == 7.0
    assert Backoff(uniform=highest).next(retry_after=7.0) == 7.2


def test_a_thousand_failures_do_not_overflow() -> None:
    backoff = Backoff(uniform=highest)
    backoff.failures = 5000
    assert backoff.next() == 15.0


def test_retry_after_is_followed_up_to_a_limit() -> None:
    assert Backoff(longest=5.0).next(3600.0) < 6.0
    assert 3.0 <= Backoff(longest=5.0).next(3.0) < 4.0
