"""`python -m bench`: runs the benchmark, prints the tables and writes the JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

import click

from bench.loads.idlers import raise_file_limit
from bench.plan import EVERYBODY, FIGURES, FULL, OURS, SHORT, Plan
from bench.postgres import Postgres, running
from bench.race import Race
from bench.table import lines

_RESULTS = Path(__file__).parent / "results"


@click.command()
@click.option("--full", is_flag=True, help="Run the long scenarios too: about an hour, and 10 GB of disk.")
@click.option("--rounds", type=click.IntRange(1, 100), help="Number of rounds; results are their medians.")
@click.option("--count", type=click.IntRange(100, 10_000_000), help="Maximum tasks per drain.")
@click.option("--only", "names", help=f"Contestants, separated by commas: {', '.join(EVERYBODY)}.")
@click.option("--figures", help=f"Figures, separated by commas: {', '.join(FIGURES)}.")
@click.option("--serve", default="", help="Further arguments for `fencepost serve`, such as '--connections 6'.")
@click.option(
    "--ours", default="{}", help='Options of the Fencepost contestants: {"processes": 2, "concurrency": 500, …}.'
)
@click.option("--plan", "overrides", default="{}", help='Further options of the plan: {"idle_polls": 1000, …}.')
@click.option("--json", "path", type=click.Path(path_type=Path, dir_okay=False), help="File for the JSON.")
def main(
    full: bool,
    rounds: int | None,
    count: int | None,
    names: str | None,
    figures: str | None,
    serve: str,
    ours: str,
    overrides: str,
    path: Path | None,
) -> None:
    """Measure Fencepost and other queues on Postgres, all on one Postgres that this run starts."""
    given: dict[str, Any] = {
        "rounds": rounds,
        "count": count,
        "contestants": _names(names, EVERYBODY),
        "figures": _names(figures, FIGURES),
        "ours": {**json.loads(ours), **({"serve": serve.split()} if serve else {})},
    }
    plan = dataclasses.replace(FULL if full else SHORT, **{name: value for name, value in given.items() if value})
    plan = dataclasses.replace(plan, **json.loads(overrides))
    raise_file_limit()
    signal.signal(signal.SIGTERM, _end)
    began = time.monotonic()
    with running() as postgres:
        about = _about(postgres, plan)
        for name, value in about.items():
            click.echo(f"{name:12}{_flat(value)}")
        race = Race(plan, postgres, lambda text: click.echo(f"[{time.monotonic() - began:5.0f} s] {text}", err=True))
        try:
            race.run()
        except KeyboardInterrupt:
            # The results so far are still printed.
            race.samples.note("run", "the run was interrupted")
    about["seconds"] = round(time.monotonic() - began)
    for line in lines(race.samples):
        click.echo(line)
    path = path or _RESULTS / f"{datetime.now():%Y-%m-%d-%H%M%S}.json"
    race.samples.write(path, about)
    click.echo(f"\n{about['seconds']} s; written to {path}")
    sys.exit(0 if OURS not in plan.contestants or race.samples.names("drain") else 1)


def _about(postgres: Postgres, plan: Plan) -> dict[str, object]:
    return {
        "machine": f"{os.cpu_count()} cores, {_processor()}, Linux {platform.release()}",
        "python": platform.python_version(),
        "load": "{:.2f} {:.2f} {:.2f} before the run".format(*os.getloadavg()),
        "postgres": f"PostgreSQL {postgres.version}",
        "settings": postgres.settings(),
        "plan": dataclasses.asdict(plan),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _flat(value: object) -> str:
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{name} {','.join(part) if isinstance(part, tuple) else part}" for name, part in value.items())


def _names(text: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(text.split(",")) if text else ()
    if unknown := set(names) - set(known):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}; known are {', '.join(known)}")
    return names


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
