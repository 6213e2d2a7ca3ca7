"""Due times of cron expressions. Only this module imports the library that parses them.

Arguments and results are in UTC. In zones with daylight saving, a time of day that a spring-forward skips is due at the
end of the gap, and a time of day that a fall-back repeats is due the first time. An expression that is due every hour
or more often follows elapsed time and not the clock (cronsim behaves like Debian's cron).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from fencepost.domain.suggestions import hint, shortened
from fencepost.errors import invalid_params

_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_SECOND = timedelta(seconds=1)
_ANY = datetime(2026, 1, 1, tzinfo=UTC)


class Cron:
    """The due times of an expression in a zone."""

    def __init__(self, text: str, zone: str) -> None:
        """Parse both; raise Refusal (`invalid-params`) for `schedule` or `timezone` if invalid or never due."""
        self._zone = _zone(zone)
        expression = _expression(text)
        seconds, _, rest = expression.partition(" ")
        # The library applies the rules for daylight saving to five fields only, so a fixed second becomes an offset.
        fixed = len(expression.split()) == 6 and seconds.isdigit()
        self._expression = rest if fixed else expression
        self._offset = timedelta(seconds=int(seconds)) if fixed else timedelta()
        if self.after(_ANY) is None:
            raise invalid_params(f"{text!r} is never due", "schedule")

    def after(self, moment: datetime) -> datetime | None:
        """Return the first due time later than `moment`, None when there is none within fifty years."""
        # In the hour that a fall-back repeats, the library continues from the first occurrence.
        return next((due for due in self._run(moment) if due > moment), None)

    def at_or_after(self, moment: datetime) -> datetime | None:
        """Return the first due time that is not earlier than `moment`."""
        return next((due for due in self._run(moment - _SECOND) if due >= moment), None)

    def nth_before(self, moment: datetime, count: int, *, since: datetime) -> datetime | None:
        """Return the `count`th due time back from `moment`, or the first since `since`; None without any."""
        found = (due for due in self._run(moment, reverse=True) if due < moment)
        return min(takewhile(lambda due: due >= since, islice(found, count)), default=None)

    def between(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Yield the due times from `begin` on and before `end`."""
        due = self.at_or_after(begin)
        while due is not None and due < end:
            yield due
            due = self.after(due)

    def _run(self, moment: datetime, *, reverse: bool = False) -> Iterator[datetime]:
        local = (moment - self._offset).astimezone(self._zone)
        for due in CronSim(self._expression, local, reverse=reverse):
            yield due.astimezone(UTC) + self._offset


def _expression(text: str) -> str:
    expression = " ".join(_ALIASES.get(text.strip().lower(), text).split())
    try:
        CronSim(expression, _ANY)
    except CronSimError as error:
        known = f"5 fields such as '30 2 * * *', 6 with the seconds first, or one of {', '.join(_ALIASES)}"
        reason = f"not a cron expression: {str(error).lower()}; it has {known}"
        raise invalid_params(reason, "schedule") from None
    return expression


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, not a valid name, not a file
        near = hint(name, sorted(available_timezones())) or ", such as Europe/Berlin"
        raise invalid_params(f"{shortened(name)!r} is not a time zone of the IANA database{near}", "timezone") from None
