"""The tables in hand-written pages: errors from the catalogue, settings from the options of `fencepost serve`."""

from __future__ import annotations

from pathlib import Path

import click

from fencepost.cli.serve import serve
from fencepost.openapi.parts import sentence
from fencepost.vocabularies.all import ALL
from fencepost.vocabularies.plugin import catalogue_of


def with_table(page: str, name: str, table: str) -> str:
    """Return a page with new text between its markers `generated:name`; raise ValueError when they are not there."""
    opening, closing = f"<!-- generated:{name} -->", f"<!-- end of generated:{name} -->"
    before, found, rest = page.partition(opening)
    _, ended, after = rest.partition(closing)
    if not found or not ended:
        raise ValueError(f"the page needs the lines {opening} and {closing}")
    return f"{before}{opening}\n\n{table}\n{closing}{after}"


def errors_table() -> str:
    """Return a row for each kind of refusal."""
    rows = [f"| {kind.status} | `{kind.type}` | {sentence(kind)} |" for kind in catalogue_of(ALL)]
    return "\n".join(["| status | type | message |", "| --- | --- | --- |", *rows, ""])


def settings_table() -> str:
    """Return a row for each option of `fencepost serve`."""
    rows = [
        f"| `{option.opts[0]}` | `{option.envvar}` | {_taken(option)} | {_default(option)} | {option.help} |"
        for option in serve.params
        if isinstance(option, click.Option)
    ]
    return "\n".join(["| flag | variable | takes | default | |", "| --- | --- | --- | --- | --- |", *rows, ""])


def _taken(option: click.Option) -> str:
    if option.is_flag:
        return "nothing; the variable `true`"
    match option.type:
        case click.IntRange(min=least, max=most):
            return f"whole number, {least} to {most}"
        case click.FloatRange(min=least, max=most):
            return f"number, {least} to {most}"
        case click.Choice(choices=words):
            return ", ".join(f"`{word}`" for word in words)
        case click.Path():
            return "path"
    return f"`{option.metavar}`" if option.metavar else "text"


def _default(option: click.Option) -> str:
    if option.is_flag:
        return ""
    default = option.get_default(click.Context(serve))
    # What has no default has a mark of click's own here.
    return f"`{default}`" if isinstance(default, str | int | float | Path) else ""
