"""Generated files agree with their source; a stale file is reported with the command that updates it."""

from __future__ import annotations

import pytest

from tests.fixtures.surface import METHODS
from tools import generate
from tools.schema_dump import stable
from tools.tables import with_table


def test_every_generated_file_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    status = generate.main(["--check"])
    assert capsys.readouterr().err == ""
    assert status == 0


@pytest.mark.parametrize("path", [path for path in generate.GENERATED if path != "sql/schema.sql"])
def test_generating_a_file_twice_gives_the_same_text(path: str) -> None:
    assert generate.GENERATED[path]() == generate.GENERATED[path]()


def test_a_stale_file_is_reported_with_the_command_that_updates_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(generate.GENERATED, "openapi/openapi.yaml", lambda: "something else\n")
    monkeypatch.delitem(generate.GENERATED, "sql/schema.sql")
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().err.startswith("openapi/openapi.yaml is stale; run `make generate`\n")


def test_the_index_of_methods_has_a_row_for_each_method() -> None:
    page = generate.GENERATED["docs/reference/methods/README.md"]()
    assert page.count("\n| [`awf.") == len(METHODS.methods)


def test_a_page_without_its_markers_cannot_be_generated() -> None:
    with pytest.raises(ValueError, match="the page needs the lines <!-- generated:errors -->"):
        with_table("# Errors\n", "errors", "")


def test_a_stable_dump_depends_only_on_the_schema() -> None:
    dump = "--\n-- PostgreSQL database dump\n--\n\\restrict a\nSET x = 1;\n\n\n\nCREATE SCHEMA a;\n\n\n\\unrestrict a\n"
    assert stable(dump).endswith("\n\nCREATE SCHEMA a;\n")
    assert "restrict" not in stable(dump)
