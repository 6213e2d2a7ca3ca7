"""Writes what is generated from the code; `--check` says what no longer agrees with it.

python -m tools.generate [--check]
"""

from __future__ import annotations

import difflib
import itertools
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import orjson

from fencepost.notation import yaml_writer
from fencepost.openapi.document import document
from fencepost.vocabularies.all import ALL
from fencepost.vocabularies.plugin import surface_of
from tools import method_reference, protobuf, shown
from tools.schema_dump import schema_dump
from tools.tables import errors_table, settings_table, with_table

ROOT = Path(__file__).resolve().parent.parent


def openapi() -> str:
    """Return openapi/openapi.yaml."""
    return yaml_writer.from_json(orjson.dumps(document(surface_of(ALL)))).decode()


def _table(path: str, name: str, table: Callable[[], str]) -> Callable[[], str]:
    return lambda: with_table((ROOT / path).read_text("utf-8"), name, table())


GENERATED: dict[str, Callable[[], str]] = {
    "openapi/openapi.yaml": openapi,
    "sql/schema.sql": schema_dump,
    **{path: partial(method_reference.page, path) for path in method_reference.paths()},
    "docs/errors.md": _table("docs/errors.md", "errors", errors_table),
    "docs/configuration.md": _table("docs/configuration.md", "settings", settings_table),
    **{path: partial(shown.with_tests, path) for path in shown.PAGES},
    **{path: partial(protobuf.generated, path) for path in protobuf.PATHS},
}


def difference(path: str) -> str:
    """Return how a file differs from what would be generated, as the first lines of a diff."""
    file, wanted = ROOT / path, GENERATED[path]()
    there = file.read_text("utf-8") if file.exists() else ""
    lines = difflib.unified_diff(there.splitlines(), wanted.splitlines(), path, f"{path}, generated", "", "", 0, "")
    return "\n".join(itertools.islice(lines, 12))


def main(arguments: list[str]) -> int:
    """Write everything, or with `--check` nothing; return the exit status."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m tools.generate [--check]", file=sys.stderr)
        return 2
    if arguments:
        stale = {path: found for path in GENERATED if (found := difference(path))}
        for path, found in stale.items():
            print(f"{path} is stale; run `make generate`\n{found}\n", file=sys.stderr)
        return 1 if stale else 0
    for path, generated in GENERATED.items():
        text = generated()
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
