"""The version that a template states."""

from __future__ import annotations

# What servers of Tinkerbell until v0.10.0 asked for. Later ones take any, and have the functions of Sprig.
VERSION = "0.1"
