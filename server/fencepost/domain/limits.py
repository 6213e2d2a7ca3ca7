"""Limits of durations and of numbers of retries."""

from __future__ import annotations

# Ten years: far beyond any real timeout, and sums of it with a date stay in Postgres' range.
LONGEST_MS = 10 * 366 * 24 * 3600 * 1000
MOST_RETRIES = 1_000_000
