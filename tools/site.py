"""Hooks of mkdocs: the README and other pages from outside of docs/, the navigation, and links that leave docs/."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
# Pages of the site that are elsewhere in the repository.
ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "executor_sdk/python/README.md": "sdk.md",
}
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"(^ *```.*?^ *```$)", re.DOTALL | re.MULTILINE)
_ROW = re.compile(r"^\| ([^|]+) \| (.+) \|$", re.MULTILINE)


def on_config(config: Any) -> Any:
    """Make the navigation of the README's table of pages."""
    config["nav"] = [{"Fencepost": "index.md"}, *_sections(), {"Python SDK": "sdk.md"}, {"Changelog": "changelog.md"}]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from outside of docs/."""
    for path, name in ELSEWHERE.items():
        files.append(File.generated(config, name, content=with_links(path, (ROOT / path).read_text("utf-8"))))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let the links of a page of docs/ lead to pages of the site."""
    if page.file.generated_by:
        return markdown
    return with_links(f"docs/{page.file.src_uri}", markdown)


def with_links(path: str, markdown: str) -> str:
    """Return the text of a file with links for the site.

    A link to a file that is no page becomes its text and the path of the file. A link to nothing stays as it is, and
    `mkdocs build --strict` reports it.
    """
    name = ELSEWHERE.get(path, path.removeprefix("docs/"))

    def link(found: re.Match[str]) -> str:
        text, target = found.groups()
        if "://" in target or target.startswith(("#", "mailto:")):
            return found[0]
        file, _, anchor = target.partition("#")
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(path), file))
        page = _page(wanted)
        if page is not None:
            relative = posixpath.relpath(page, posixpath.dirname(name) or ".")
            return f"[{text}]({relative}{'#' + anchor if anchor else ''})"
        return f"{text} (`{wanted}`)" if (ROOT / wanted).exists() else found[0]

    parts = _FENCE.split(markdown)
    return "".join(part if part.lstrip().startswith("```") else _LINK.sub(link, part) for part in parts)


def _page(path: str) -> str | None:
    """Return the page of the site that a file or folder of the repository is, or None."""
    if (ROOT / path / "README.md").is_file():
        path = f"{path}/README.md"
    if path in ELSEWHERE:
        return ELSEWHERE[path]
    is_page = path.startswith("docs/") and (ROOT / path).is_file() and path.endswith((".md", ".svg"))
    return path.removeprefix("docs/") if is_page else None


def _sections() -> Iterator[dict[str, Any]]:
    """Yield an entry for each row of the README's table: a page, or a section for several."""
    table = (ROOT / "README.md").read_text("utf-8").partition("| to | read |")[2].partition("\n\n")[0]
    for purpose, links in _ROW.findall(table.partition("| --- | --- |")[2]):
        pages = [entry for text, target in _LINK.findall(links) for entry in _entries(text, target)]
        if len(pages) == 1:
            yield pages[0]
        else:
            yield {_capital(purpose): pages}


def _entries(text: str, target: str) -> Iterator[Any]:
    page = _page(posixpath.normpath(target))
    if page is None:
        return
    yield {_capital(text): page}
    folder = ROOT / "docs" / posixpath.dirname(page)
    # An index brings the pages of its folder along, except where the table names them itself.
    if posixpath.basename(page) == "README.md" and posixpath.dirname(page) != "vocabularies":
        yield from (
            f"{posixpath.dirname(page)}/{file.name}" for file in sorted(folder.glob("*.md")) if file.name != "README.md"
        )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
