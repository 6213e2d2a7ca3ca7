"""Fixtures for tests that start their own Postgres."""

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
    """An empty folder with a short path that user nobody may enter, unlike the folders of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="fencepost-test-"))
    folder.chmod(0o711)
    yield folder
    until(partial(is_removed, folder))  # a Postgres with a killed owner may still write there


def is_removed(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


@pytest.fixture
def data_dir(place: Path) -> Path:
    return place / "data"
