"""Definitions in files: YAML streams of documents, and the order in which they are put."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from fencepost.cli.apply import apply
from fencepost.cli.documents import read_documents
from fencepost.errors import StartRefused
from tests.fixtures.servers import Server
from tests.fixtures.surface import DOCUMENTS

ONE, TWO = "kind: task\nname: one\n", "kind: task\nname: two\n"


def names(path: Path) -> list[str]:
    return [document.declared.name for document in read_documents(path, DOCUMENTS)]


def test_documents_are_ordered_after_the_definitions_that_they_start(tmp_path: Path) -> None:
    rules = "select-by: [{get-in: [status], comparator: eq, value: final}]\ntask-request: {definition: b}\n"
    (tmp_path / "a.yaml").write_text(f"kind: trigger\nname: a\n{rules}---\nkind: task\nname: b\n")
    (tmp_path / "c.yaml").write_text("kind: workflow\nname: c\n")
    kinds = [orjson.loads(document.text)["kind"] for document in read_documents(tmp_path, DOCUMENTS)]
    assert kinds == ["task", "workflow", "trigger"]


def test_apply_of_a_folder_without_documents_says_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("kind: task\nname: demo/a\n")
    applied = CliRunner().invoke(apply, [str(tmp_path)])
    assert applied.exit_code == 0
    assert applied.stderr == f"fencepost: no document is in {tmp_path}: it takes .yaml, .yml and .json\n"


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        (f"# Copyright\n---\n{ONE}", ["one"]),
        (f"# Copyright\n\n--- # first\n{ONE}", ["one"]),
        (f"{ONE}---\n# nothing more\n", ["one"]),
        (f"{ONE}---\n", ["one"]),
        ("---\n# Source: chart/templates/off.yaml\n---\n", []),
        ("# only a comment\n", []),
        ("", []),
        (f"---\n---\n{ONE}---\n---\n{TWO}", ["one", "two"]),
        (f"--- ~\n---\n{ONE}--- null\n", ["one"]),
        (f"%YAML 1.2\n---\n{ONE}...\n%YAML 1.2\n---\n{TWO}", ["one", "two"]),
        (f"{ONE}...\n{TWO}", ["one", "two"]),
        ("--- {kind: task, name: one}\n--- {kind: task, name: two}\n", ["one", "two"]),
        ('{"kind": "task", "name": "one"}\n---\n{"kind": "task", "name": "two"}\n', ["one", "two"]),
        (f"---   \t# tabs\n{ONE}".replace("\n", "\r\n"), ["one"]),
        (f"\ufeff# mark\n---\n{ONE}", ["one"]),
        ("kind: task\nname: one\nparams:\n  description: |\n    a\n    ---\n    b\n", ["one"]),
    ],
)
def test_a_file_is_read_as_a_yaml_stream(tmp_path: Path, stream: str, found: list[str]) -> None:
    file = tmp_path / "documents.yaml"
    file.write_bytes(stream.encode())
    assert names(file) == found


def test_a_long_file_that_yaml_1_1_forbids_is_read(tmp_path: Path) -> None:
    file = tmp_path / "long.yaml"
    file.write_text(f"# {'x' * 5000}\n---\nkind: task\nname: one\nparams: {{properties: {{include-log?: true}}}}\n")
    assert names(file) == ["one"]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("kind: task\nname: two\nretryDelay: soon\n", "Expected `int`, got `str` (at $.retryDelay)"),
        ("kind: task\nname: two words\n", "each 1 to 100 letters, digits, `_`, `.` or `-` (at $.name)"),
        ("just text\n", "Expected `object`, got `str` (at $)"),
        ("kind: task\nname: two\nparams: {type: strin}\n", "(at $.params)"),
    ],
)
def test_no_document_is_put_when_a_later_one_is_invalid(
    server: Server, tmp_path: Path, second: str, message: str
) -> None:
    (tmp_path / "a.yaml").write_text(f"{ONE}---\n# empty\n---\n{second}")
    applied = CliRunner().invoke(apply, [str(tmp_path), "--url", server.url])
    assert isinstance(applied.exception, StartRefused)
    assert str(applied.exception).startswith(f"{tmp_path / 'a.yaml'}, document 2: ")
    assert str(applied.exception).endswith(message)
    assert server.refused("awf.definition/get", {"name": "one"})[:2] == (404, "definition-not-found")


def test_invalid_yaml_in_a_later_document_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"{ONE}---\nkind: task\nname: &x two\n")
    with pytest.raises(StartRefused, match=r"a\.yaml: line 5, column 7: anchors are not read"):
        read_documents(file, DOCUMENTS)


def test_all_documents_of_a_file_are_applied(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "both.yaml"
    file.write_text(f"# Copyright\n---\n{ONE}---\n{TWO}---\n# the end\n")
    applied = CliRunner().invoke(apply, [str(file), "--url", server.url])
    assert (applied.exit_code, applied.output) == (0, "one version 1\ntwo version 1\n")
