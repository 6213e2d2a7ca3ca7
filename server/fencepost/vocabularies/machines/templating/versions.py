"""The version that a template states."""

from __future__ import annotations

# Servers of Tinkerbell until v0.10.0 require this version. Later ones take any, and have the functions of Sprig.
VERSION = "0.1"
