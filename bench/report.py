"""Writes the tables of a run into RESULTS.md: `python -m bench.report bench/results/<time>.json`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from bench.bars import bars
from bench.compared import COLUMNS, costs, groups
from bench.samples import Samples

RESULTS = Path(__file__).parent / "RESULTS.md"
_BEGIN = "<!-- Written by `python -m bench.report`; edit it there. -->\n"
_END = "<!-- End of the written part. -->\n"


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def main(run: Path) -> None:
    """Replace the written part of RESULTS.md with the tables of RUN, the JSON of a run."""
    samples, about = Samples.read(run)
    before, _, rest = RESULTS.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    RESULTS.write_text(before + _BEGIN + "\n".join(report(samples, about)) + "\n" + _END + after)


def report(samples: Samples, about: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the written part."""
    yield from ("## Like for like", "")
    yield "CPU is in microseconds per task: Postgres + the server + all other processes (workers, clients)."
    for title, rows in groups(samples):
        yield from ("", f"**{title}**", "")
        yield from _table(COLUMNS, ((_bold(row.name, row.is_ours), *row.cells) for row in rows))
    yield from ("", "## Against the bars", "")
    held = ((bar.what, f"{bar.measured:.3g}", f"{bar.floor:g}", f"{bar.goal:g}", bar.verdict) for bar in bars(samples))
    yield from _table(("measured", "floor", "goal", ""), held)
    yield from ("", "## The figures", "")
    yield from _table(
        ("create/s", "CPU", "WAL B", "drain/s", "CPU", "WAL B"),
        ((name, *costs(samples, "create", name), *costs(samples, "drain", name)) for name in samples.names("drain")),
    )
    yield ""
    singles = (
        (f"{title}, {name}", *costs(samples, figure, name))
        for figure, title in (
            ("single", "single calls over 64 connections"),
            ("in-flight", "creates with 32 in flight"),
        )
        for name in samples.names(figure)
    )
    yield from _table(("a second", "CPU", "WAL B"), singles)
    yield ""
    yield from _table(
        ("p50 ms", "p99 ms"),
        (
            (
                f"create to start, {name}",
                *(f"{samples.quantile('latency', name, 'ms', share):.2f}" for share in (0.5, 0.99)),
            )
            for name in samples.names("latency")
        ),
    )
    yield ""
    plan, settings = about["plan"], about["settings"]
    yield from ("## The run", "")
    yield f"- {about['machine']}; Python {about['python']}; load {about['load']}"
    yield f"- {about['postgres']}: {', '.join(f'{name} {value}' for name, value in settings.items())}"
    yield f"- [Method](README.md#method): {plan['rounds']} rounds of up to {plan['count']:,} tasks, medians"
    yield from (f"- {note}" for notes in samples.notes.values() for note in notes)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| | {' | '.join(heads)} |"
    yield "| --- " * (len(heads) + 1) + "|"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _bold(name: str, is_ours: bool) -> str:
    return f"**{name}**" if is_ours else name


if __name__ == "__main__":
    main()
