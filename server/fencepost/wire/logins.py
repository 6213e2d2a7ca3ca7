"""Throttles wrong credentials: delays their address, and logs them at most once per interval."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

from fencepost.telemetry import Event, emit

# Addresses kept in memory; the one that failed longest ago is dropped first.
_MOST_ADDRESSES = 1024
# Failures without a delay; after these each waits for its turn.
_FREE = 5
_TURN_SECONDS = 0.5
_LONGEST_SECONDS = 5.0
# Intervals between log lines, for one address and for all together.
_SAY_SECONDS = 60.0
_SAY_ANY_SECONDS = 1.0


@dataclass(slots=True)
class _Address:
    """The failures of an address: the end of its last delay, and the number not yet logged."""

    taken_until: float = 0.0
    said_at: float = -_SAY_SECONDS
    untold: int = 0


class Logins:
    """The recent failures, by address."""

    def __init__(self) -> None:
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._said_at = -_SAY_ANY_SECONDS

    async def failed(self, client: tuple[str, int] | None, reason: str) -> None:
        """Record a failure, and wait until the delay of its address has passed; other addresses do not wait."""
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
    """Return the network of an address, which a client cannot change at will."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address or "a local socket"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address
