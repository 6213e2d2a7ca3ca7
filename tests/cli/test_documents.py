"""Which documents stand in files, and in which order they are put."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from fencepost.cli.apply import apply
from fencepost.cli.documents import read_documents


def test_what_starts_something_stands_behind_what_it_starts(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: trigger\nname: a\n---\nkind: task\nname: b\n")
    (tmp_path / "c.yaml").write_text("kind: workflow\nname: c\n")
    texts = [document.text for document in read_documents(tmp_path)]
    assert [text[9:13] for text in texts] == [b"task", b"work", b"trig"]


def test_whoever_applies_nothing_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("kind: task\nname: demo/a\n")
    applied = CliRunner().invoke(apply, [str(tmp_path)])
    assert applied.exit_code == 0
    assert applied.stderr == f"fencepost: no document is in {tmp_path}: it takes .yaml, .yml and .json\n"
