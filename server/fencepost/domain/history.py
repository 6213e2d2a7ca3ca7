"""How long history is kept, and into how long stretches of time it is cut so that the old ones can go at once."""

from __future__ import annotations

from datetime import timedelta

_HOUR = timedelta(hours=1)
_LONGEST = timedelta(days=30)
# Reading a finished task looks into every partition: the retention in parts, what is ahead, and the one in between.
_PARTS = 10


def partition_width(retention: timedelta | None) -> timedelta:
    """Return how much time a partition spans: about a tenth of the retention, in whole hours, up to 30 days."""
    if retention is None:
        return _LONGEST
    hours = -(-retention // (_PARTS * _HOUR))
    return min(max(hours * _HOUR, _HOUR), _LONGEST)


# No database knows a time so long ago; and Postgres has no name for one that is much longer.
_MOST = {"year": 2000, "month": 24_000, "week": 104_000, "day": 730_000, "hour": 17_000_000, "minute": 1_000_000_000}


def age_text(unit: str, value: int) -> str:
    """Return the age that a retention policy names, as Postgres reads an interval."""
    return f"{min(value, _MOST[unit])} {unit}s"
