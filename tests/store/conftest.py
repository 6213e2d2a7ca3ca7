"""Folders for servers of their own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.fixtures.waiting import until


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty folder with a short path that every user may pass through; pytest's own is closed to nobody."""
    folder = Path(tempfile.mkdtemp(prefix="fencepost-test-"))
    folder.chmod(0o711)
    yield folder
    until(partial(is_removed, folder))  # a server whose owner was killed may still be at work there


def is_removed(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


@pytest.fixture
def data_dir(place: Path) -> Path:
    return place / "data"
