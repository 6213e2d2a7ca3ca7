"""The retention of history, and the width of its time partitions, each of which is dropped as a whole."""

from __future__ import annotations

from datetime import timedelta

_HOUR = timedelta(hours=1)
_LONGEST = timedelta(days=30)
# Partitions in the retention. Few, because a read of a finished task probes every partition.
_PARTS = 10


def partition_width(retention: timedelta | None) -> timedelta:
    """Return how much time a partition spans: about a tenth of the retention, in whole hours, up to 30 days."""
    if retention is None:
        return _LONGEST
    hours = -(-retention // (_PARTS * _HOUR))
    return min(max(hours * _HOUR, _HOUR), _LONGEST)


# Older than any stored row, and within the range of a Postgres interval.
_MOST = {"year": 2000, "month": 24_000, "week": 104_000, "day": 730_000, "hour": 17_000_000, "minute": 1_000_000_000}


def age_text(unit: str, value: int) -> str:
    """Return the age of a retention policy as the text of a Postgres interval."""
    return f"{min(value, _MOST[unit])} {unit}s"
