"""The pages for contributors name only existing files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house.sources import DOCS, QUERIES, ROOT

_PATH = re.compile(r"`([\w./-]+(?:/|\.(?:py|sql|md|toml|yaml|sha256)))`")
_BASES = (ROOT, ROOT / "server" / "fencepost", QUERIES)


@pytest.mark.parametrize("page", [DOCS / "architecture.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.stem)
def test_every_file_named_by_a_page_for_contributors_exists(page: Path) -> None:
    named = _PATH.findall(page.read_text("utf-8"))
    assert named
    assert [path for path in named if not any((base / path).exists() for base in _BASES)] == []
