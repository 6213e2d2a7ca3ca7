"""The code blocks of a page run unchanged and in order against one server.

sh, python       run; they must exit with status 0
sql              run on the server's database
yaml, json       posted when they are a call or an array of calls, put when they are a document with a `kind`

A block that cannot run in a test follows a line `<!-- not run: reason -->`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from fencepost.notation import yaml
from tests.fixtures.servers import Server
from tests.house.sources import DOCS, ROOT

# Errors that an outdated page causes. An example about a task that does not exist is accepted.
OUT_OF_DATE = ("invalid-request", "invalid-params", "method-not-found")
RUN = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
_NOT_RUN = re.compile(r"<!-- not run:(?P<reason>[^>]*)-->\s*\Z")

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])


class Block(NamedTuple):
    """A block of code: its language, its text, and the reason not to run it."""

    language: str
    code: str
    not_run: str | None


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page."""
    found = []
    for fence in _FENCE.finditer(page):
        marked = _NOT_RUN.search(page, 0, fence.start())
        code = re.sub(rf"^{fence['indent']}", "", fence["code"], flags=re.MULTILINE)
        found.append(Block(fence["language"], code, marked["reason"].strip() if marked else None))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_code_blocks_of_a_page_run(page: Path, server: Server, tmp_path: Path) -> None:
    for block in blocks(page.read_text("utf-8")):
        if block.not_run is not None:
            assert block.not_run, "a block that is not run needs the reason"
        elif block.language in RUN:
            run(block, server, tmp_path)
        elif block.language == "sql":
            server.query(block.code)
        elif block.language in ("yaml", "json"):
            send(block, server)


def test_code_blocks_are_found_with_their_language_and_reason_not_to_run() -> None:
    page = (
        "```sh\nls\n```\n\n<!-- not run: it never ends -->\n\n```sh\ntop\n```\n- in a list\n  ```yaml\n  a: 1\n  ```\n"
    )
    assert blocks(page) == [
        Block("sh", "ls\n", None),
        Block("sh", "top\n", "it never ends"),
        Block("yaml", "a: 1\n", None),
    ]


def run(block: Block, server: Server, folder: Path) -> None:
    """Run a block with the programs of this environment and the address of the server."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "URL": server.url, "FENCEPOST_URL": server.url}
    command = [*RUN[block.language], block.code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{block.code}\n{done.stderr}"
    assert not [name for name in OUT_OF_DATE if f"type: {name}" in done.stdout or f'"{name}"' in done.stdout], (
        done.stdout
    )


def send(block: Block, server: Server) -> None:
    """Post a block of calls or put a block of documents; ignore other data, which shows an answer."""
    content = orjson.loads(yaml.to_json(block.code.encode()))
    calls = content if isinstance(content, list) else [content]
    if all(isinstance(call, dict) and "kind" in call for call in calls):
        calls = [{"method": "awf.definition/put", "params": document} for document in calls]
    elif not all(isinstance(call, dict) and "method" in call for call in calls):
        return
    _, answers = server.post([_in_a_hurry(call) for call in calls])
    for call, answer in zip(calls, answers, strict=True):
        assert answer.get("error", {}).get("type") not in OUT_OF_DATE, (call, answer)


def _in_a_hurry(call: dict[str, Any]) -> dict[str, Any]:
    """Return a call that does not wait for a task."""
    if not call["method"].endswith(("/long-poll", "/wait-for", "/create-and-wait")):
        return call
    return {**call, "params": {**call["params"], "timeout": 1}}
