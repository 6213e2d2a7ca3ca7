"""Throttles wrong credentials: delays their address, and logs them at most once per interval."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

from fencepost.telemetry import Event, emit

# Addresses kept in memory; the one that failed longest ago is dropped first.
_MAX_ADDRESSES = 1024
# Failures without a delay; after these each is delayed.
_FREE_FAILURES = 5
_DELAY_SECONDS = 0.5
_MAX_DELAY_SECONDS = 5.0
# Intervals between log lines, for one address and for all together.
_LOG_INTERVAL_SECONDS = 60.0
_LOG_ANY_INTERVAL_SECONDS = 1.0


@dataclass(slots=True)
class _Address:
    """The failures of an address: the end of its last delay, and the number not yet logged."""

    delayed_until: float = 0.0
    logged_at: float = -_LOG_INTERVAL_SECONDS
    unlogged: int = 0


class FailedLogins:
    """The recent failures, by address."""

    def __init__(self) -> None:
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._logged_at = -_LOG_ANY_INTERVAL_SECONDS

    async def record(self, client: tuple[str, int] | None, reason: str) -> None:
        """Record a failure, and wait until the delay of its address has passed; other addresses do not wait."""
        now = asyncio.get_running_loop().time()
        address = _network("" if client is None else client[0])
        entry = self._addresses.setdefault(address, _Address())
        self._addresses.move_to_end(address)
        if len(self._addresses) > _MAX_ADDRESSES:
            self._addresses.popitem(last=False)
        entry.unlogged += 1
        self._log(address, entry, reason, now)
        entry.delayed_until = max(entry.delayed_until, now - _FREE_FAILURES * _DELAY_SECONDS) + _DELAY_SECONDS
        entry.delayed_until = min(entry.delayed_until, now + _MAX_DELAY_SECONDS)
        await asyncio.sleep(max(0.0, entry.delayed_until - now))

    def _log(self, address: str, entry: _Address, reason: str, now: float) -> None:
        if now < entry.logged_at + _LOG_INTERVAL_SECONDS or now < self._logged_at + _LOG_ANY_INTERVAL_SECONDS:
            return
        emit(Event.LOGIN_FAILED, count=entry.unlogged, address=address, reason=reason)
        entry.logged_at = self._logged_at = now
        entry.unlogged = 0


def _network(address: str) -> str:
    """Return the network of an address, which a client cannot change at will."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address or "a local socket"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address
