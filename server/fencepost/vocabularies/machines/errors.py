"""Errors of the machine vocabulary."""

from __future__ import annotations

from fencepost.errors import Kind

ACTION_MISMATCH = Kind("action-mismatch", 422, "reported {what} name does not match the current action details")
HARDWARE_NOT_FOUND = Kind("hardware-not-found", 404, "there is no hardware {id!r}")
ADDRESS_TAKEN = Kind("address-taken", 409, "the address {address!r} belongs to hardware {id!r}")
