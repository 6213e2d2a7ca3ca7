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
