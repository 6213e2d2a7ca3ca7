"""What is generated agrees with what it is generated from, and whoever forgets it is told what to run."""

from __future__ import annotations

import pytest

from tests.fixtures.surface import METHODS
from tools import generate
from tools.schema_dump import stable
from tools.tables import with_table


def test_everything_that_is_generated_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    status = generate.main(["--check"])
    assert capsys.readouterr().err == ""
    assert status == 0


@pytest.mark.parametrize("path", [path for path in generate.GENERATED if path != "sql/schema.sql"])
def test_the_same_is_generated_every_time(path: str) -> None:
    assert generate.GENERATED[path]() == generate.GENERATED[path]()


def test_a_stale_file_is_named_together_with_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(generate.GENERATED, "openapi/openapi.yaml", lambda: "something else\n")
    monkeypatch.delitem(generate.GENERATED, "sql/schema.sql")
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().err.startswith("openapi/openapi.yaml is stale; run `make generate`\n")


def test_the_index_of_methods_has_a_row_for_each() -> None:
    page = generate.GENERATED["docs/reference/methods/README.md"]()
    assert page.count("\n| [`awf.") == len(METHODS.methods)


def test_a_page_without_its_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="the page needs the lines <!-- generated:errors -->"):
        with_table("# Errors\n", "errors", "")


def test_a_dump_says_nothing_of_the_run_that_made_it() -> None:
    dump = "--\n-- PostgreSQL database dump\n--\n\\restrict a\nSET x = 1;\n\n\n\nCREATE SCHEMA a;\n\n\n\\unrestrict a\n"
    assert stable(dump).endswith("\n\nCREATE SCHEMA a;\n")
    assert "restrict" not in stable(dump)
