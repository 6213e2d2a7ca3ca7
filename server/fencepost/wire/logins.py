"""Wrong credentials: each costs its address time, and the log has a line of them now and then."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

from fencepost.telemetry import Event, emit

# Addresses that are remembered; the one that was quiet for longest is forgotten first.
_MOST_ADDRESSES = 1024
# So many may come at once; afterwards each waits for a turn of its own.
_FREE = 5
_TURN_SECONDS = 0.5
_LONGEST_SECONDS = 5.0
# A line in the log for an address, and for all of them.
_SAY_SECONDS = 60.0
_SAY_ANY_SECONDS = 1.0


@dataclass(slots=True)
class _Address:
    """The failures of an address: the end of its last turn, and the number that is not in the log yet."""

    taken_until: float = 0.0
    said_at: float = -_SAY_SECONDS
    untold: int = 0


class Logins:
    """The failures of the last minutes, by address."""

    def __init__(self) -> None:
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._said_at = -_SAY_ANY_SECONDS

    async def failed(self, client: tuple[str, int] | None, reason: str) -> None:
        """Note a failure, and wait for the turn of its address; others go on meanwhile."""
        now = asyncio.get_running_loop().time()
        address = _network("" if client is None else client[0])
        entry = self._addresses.setdefault(address, _Address())
        self._addresses.move_to_end(address)
        if len(self._addresses) > _MOST_ADDRESSES:
            self._addresses.popitem(last=False)
        entry.untold += 1
        self._say(address, entry, reason, now)
        entry.taken_until = max(entry.taken_until, now - _FREE * _TURN_SECONDS) + _TURN_SECONDS
        entry.taken_until = min(entry.taken_until, now + _LONGEST_SECONDS)
        await asyncio.sleep(max(0.0, entry.taken_until - now))

    def _say(self, address: str, entry: _Address, reason: str, now: float) -> None:
        if now < entry.said_at + _SAY_SECONDS or now < self._said_at + _SAY_ANY_SECONDS:
            return
        emit(Event.LOGIN_FAILED, count=entry.untold, address=address, reason=reason)
        entry.said_at = self._said_at = now
        entry.untold = 0


def _network(address: str) -> str:
    """Return what one holder of addresses cannot change at will."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address or "a local socket"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address
