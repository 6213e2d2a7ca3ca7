"""The printed tables: contestants like for like, by figure, and the bars of Fencepost."""

from __future__ import annotations

from collections.abc import Iterator

from bench.bars import Bar, bars
from bench.compared import COLUMNS, groups
from bench.samples import Samples

_QUEUE = (
    ("tasks/s", "rate", 9),
    ("Postgres µs", "postgres_us", 12),
    ("server µs", "server_us", 10),
    ("client µs", "client_us", 10),
    ("WAL B", "wal_bytes", 8),
    ("commits", "commits", 9),
)
_TITLES = {
    "create": "Bulk create",
    "drain": "Drain",
    "single": "Single calls (poll, start, success; 64 connections)",
    "in-flight": "Single creates with 32 in flight",
}


def lines(samples: Samples) -> Iterator[str]:
    """Yield the report, at most 110 columns wide."""
    yield from _compared(samples)
    for figure, title in _TITLES.items():
        if samples.names(figure):
            yield from _queue(samples, figure, title)
    yield from _latency(samples)
    yield from _idle(samples)
    yield from _dead(samples)
    yield from _bars(bars(samples))
    yield ""
    for notes in samples.notes.values():
        yield from notes


def _compared(samples: Samples) -> Iterator[str]:
    for title, rows in groups(samples):
        yield ""
        yield f"{title}: medians; CPU is Postgres + server + others"
        for *cells, keeps in (("", *COLUMNS), *((row.name, *row.cells) for row in rows)):
            row = "".join(f"{cell:{align}}" for cell, align in zip(cells, _ALIGNED, strict=True))
            yield f"{row}  {keeps}"


def _queue(samples: Samples, figure: str, title: str) -> Iterator[str]:
    yield ""
    yield f"{title}: medians; CPU, write-ahead log and commits a {'call' if figure == 'single' else 'task'}"
    yield f"{'':20}" + "".join(f"{head:>{width}}" for head, _, width in _QUEUE) + "    lowest to highest"
    for name in samples.names(figure):
        row = f"{name:20}"
        for _, what, width in _QUEUE:
            value = samples.median(figure, name, what)
            row += f"{'-' if value is None else _number(value):>{width}}"
        rates = samples.values(figure, name, "rate")
        yield f"{row}    {min(rates):,.0f} to {max(rates):,.0f}"


def _latency(samples: Samples) -> Iterator[str]:
    if not samples.names("latency"):
        return
    yield ""
    yield "Create to start of the handler, idle queue, ms"
    yield f"{'':20}{'p50':>9}{'p99':>9}"
    for name in samples.names("latency"):
        half, most = (samples.quantile("latency", name, "ms", share) or 0.0 for share in (0.5, 0.99))
        yield f"{name:20}{half:>9.2f}{most:>9.2f}"


def _idle(samples: Samples) -> Iterator[str]:
    for name in samples.names("idle"):
        value = {what: samples.median("idle", name, what) or 0.0 for what in _IDLE}
        yield ""
        yield f"Idle polls on {name}: " + ", ".join(text.format(value[what]) for what, text in _IDLE.items())


def _dead(samples: Samples) -> Iterator[str]:
    names = samples.names("dead")
    if names:
        yield ""
        yield "Dead row versions after the last round (counted by pgstattuple), thousands"
    for at in range(0, len(names), 4):
        cells = ((name, samples.median("dead", name, "tuples") or 0.0) for name in names[at : at + 4])
        yield "".join(f"{name:18}{tuples / 1000:>7,.1f}  " for name, tuples in cells).rstrip()


_ALIGNED = ("19", ">8", ">16", ">7", ">13", ">9", ">14", ">6")
_IDLE = {
    "polls": "{:,.0f} polls",
    "kib_each": "{:.1f} KiB each",
    "core_percent": "{:.2f} % of a core",
    "queries_per_second": "{:.2f} queries/s",
    "ended": "{:.0f} answered or cut",
}


def _bars(held: list[Bar]) -> Iterator[str]:
    if not held:
        return
    yield ""
    yield f"{'Fencepost against its bars':44}{'measured':>12}{'floor':>10}{'goal':>10}"
    for bar in held:
        yield f"{bar.what:44}{bar.measured:>12.3f}{bar.floor:>10}{bar.goal:>10}   {bar.verdict}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.4f}"
