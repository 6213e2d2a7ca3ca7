"""Finds the data files: inside the package in a wheel, at the top of a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_DATA = _PACKAGE / "_data"


def data_folder(name: str) -> Path:
    """Return the folder `name` (`sql` or `openapi`) of the wheel, or of the checkout."""
    return _DATA / name if _DATA.is_dir() else _PACKAGE.parent.parent / name
