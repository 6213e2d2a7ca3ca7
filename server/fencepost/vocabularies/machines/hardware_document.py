"""Reads the id and the addresses from a hardware record."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from fencepost.domain.validation import refusal_of_struct
from fencepost.errors import invalid_params

_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")


class _Ip(msgspec.Struct, frozen=True):
    address: str | None = None


class _Dhcp(msgspec.Struct, frozen=True):
    mac: str | None = None
    ip: _Ip | None = None


class _Interface(msgspec.Struct, frozen=True):
    dhcp: _Dhcp | None = None


class _Network(msgspec.Struct, frozen=True):
    interfaces: list[_Interface] | None = None


class Hardware(msgspec.Struct, frozen=True):
    """The members of a record that the server reads; other members are kept unread."""

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    network: _Network | None = None

    @property
    def addresses(self) -> list[str]:
        """The MAC and IPv4 addresses, each once; raises Refusal (`invalid-params`) for a malformed one."""
        found: dict[str, None] = {}
        interfaces = (self.network and self.network.interfaces) or ()
        for number, interface in enumerate(interfaces):
            field = f"hardware.network.interfaces[{number}].dhcp"
            dhcp = interface.dhcp or _Dhcp()
            if dhcp.mac:
                found[_checked(dhcp.mac, f"{field}.mac", _is_mac, "a MAC address, such as 52:54:00:12:34:56")] = None
            if dhcp.ip is not None and dhcp.ip.address:
                found[_checked(dhcp.ip.address, f"{field}.ip.address", _is_ip, "an IPv4 address")] = None
        return list(found)


def read_hardware(record: Raw) -> Hardware:
    """Decode a record; raise Refusal (`invalid-params`) with the field of the wrong member."""
    try:
        return _hardware.decode(record)
    except msgspec.ValidationError as error:
        raise refusal_of_struct(str(error), Hardware).within("hardware") from None


def address_of(worker: str) -> str:
    """Return an address in its normal form, in lower case; any other name of a worker unchanged."""
    text = worker.strip().lower()
    return text if _is_mac(text) or _is_ip(text) else worker


def _checked(address: str, field: str, is_valid: Callable[[str], bool], expected: str) -> str:
    text = address_of(address)
    if not is_valid(text):
        raise invalid_params(f"must be {expected}, not {address[:40]!r}", field)
    return text


def _is_mac(text: str) -> bool:
    return _MAC.fullmatch(text) is not None


def _is_ip(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


_hardware: msgspec.json.Decoder[Hardware] = msgspec.json.Decoder(Hardware)
