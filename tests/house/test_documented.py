"""Each method, error, event and setting is documented, and nothing else is."""

from __future__ import annotations

import ast
import re

import click
import msgspec
import pytest

from fencepost import errors
from fencepost.cli.serve import serve
from fencepost.errors import Kind
from fencepost.rpc.registry import Method
from fencepost.telemetry import Event
from tests.fixtures.surface import CATALOGUE, SURFACE
from tests.house.sources import DOCS, ROOT, server, table_words

METHODS = list(SURFACE.methods.methods.values())

each_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


@each_method
def test_the_summary_of_a_method_is_a_sentence(method: Method) -> None:
    assert method.summary.endswith(".")
    assert method.summary[0].isupper()


@each_method
def test_a_method_accepts_its_own_example(method: Method) -> None:
    assert method.example
    method.decoder.decode(msgspec.json.encode(method.example))


@each_method
def test_a_method_has_a_heading_in_the_reference(method: Method) -> None:
    page = DOCS / "reference" / "methods" / f"{method.name.removeprefix('awf.').partition('/')[0]}.md"
    assert f"\n## {method.name}\n" in page.read_text("utf-8")


@pytest.mark.parametrize("kind", CATALOGUE, ids=lambda kind: f"{kind.type}-{kind.status}")
def test_an_error_has_a_row_in_the_handling_table(kind: Kind) -> None:
    handling = (DOCS / "errors.md").read_text("utf-8").partition("\n## Handling\n")[2]
    assert re.search(rf"^\| `{kind.type}` \|", handling, re.MULTILINE)


def test_the_handling_table_has_only_errors_of_the_catalogue() -> None:
    handling = (DOCS / "errors.md").read_text("utf-8").partition("\n## Handling\n")[2]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", handling, re.MULTILINE)) == {kind.type for kind in CATALOGUE}


def test_every_error_of_the_catalogue_is_raised_somewhere() -> None:
    names = {name for name, value in vars(errors).items() if isinstance(value, Kind)}
    nodes = [node for source in server() for node in ast.walk(source.tree)]
    assert names - {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)} == set()


@pytest.mark.parametrize("event", Event, ids=lambda event: event.label)
def test_an_event_has_a_row_in_the_operations_page(event: Event) -> None:
    assert event.label in table_words("operations.md")


@pytest.mark.parametrize("option", serve.params, ids=lambda option: option.name)
def test_a_setting_has_a_flag_a_variable_a_sentence_and_a_row(option: click.Parameter) -> None:
    assert isinstance(option, click.Option)
    assert option.envvar == f"FENCEPOST_{option.opts[0].removeprefix('--').replace('-', '_').upper()}"
    assert option.help is not None
    assert option.help.endswith(".")
    assert {option.opts[0], option.envvar} <= table_words("configuration.md")


def test_no_link_between_pages_is_broken() -> None:
    broken = []
    for page in [*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("tests/**/*.md")]:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
            path, _, anchor = target.partition("#")
            if "://" in target:
                continue
            linked = (page.parent / path).resolve() if path else page
            if not linked.exists() or (anchor and anchor not in _anchors(linked.read_text("utf-8"))):
                broken.append((page.relative_to(ROOT).as_posix(), target))
    assert broken == []


def _anchors(page: str) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
