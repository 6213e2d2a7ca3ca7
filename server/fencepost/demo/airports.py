"""Writes the airports of the world, from the package airportsdata (MIT licence), as gzipped NDJSON files."""

from __future__ import annotations

import gzip
from collections import defaultdict
from pathlib import Path

import airportsdata
import orjson

from fencepost.demo.source import Source, source_of

TYPE = "Airport"

# Regions by time zone. The United States have several, because half of all airports are there.
_UNITED_STATES = {
    "America/New_York": "us-eastern",
    "America/Chicago": "us-central",
    "America/Denver": "us-mountain",
    "America/Los_Angeles": "us-pacific",
}
_AREAS = {
    "Africa": "africa",
    "America": "americas",
    "Asia": "asia",
    "Europe": "europe",
    "Australia": "oceania",
    "Pacific": "oceania",
}


def write_airports(folder: Path) -> list[Source]:
    """Write the airports into `folder`, one file per region, and return the files, largest first."""
    folder.mkdir(parents=True, exist_ok=True)
    regions: dict[str, list[bytes]] = defaultdict(list)
    for code, airport in airportsdata.load("ICAO").items():
        resource = {"resourceType": TYPE, "id": code, **airport}
        regions[_region(airport["country"], airport["tz"])].append(orjson.dumps(resource))
    by_size = sorted(regions, key=lambda region: -len(regions[region]))
    return [_write(folder / f"{region}.ndjson.gz", regions[region]) for region in by_size]


def _region(country: str, timezone: str) -> str:
    if country == "US":
        return _UNITED_STATES.get(timezone, "us-elsewhere")
    if country == "BR":
        return "brazil"
    return _AREAS.get(timezone.partition("/")[0], "islands-and-poles")


def _write(path: Path, lines: list[bytes]) -> Source:
    unfinished = path.with_suffix(".new")
    # Level 1, because each start writes them; without a time, so that the same data gives the same bytes.
    unfinished.write_bytes(gzip.compress(b"\n".join([*lines, b""]), compresslevel=1, mtime=0))
    # An executor of a killed demo may still read the old file.
    unfinished.replace(path)
    return source_of(path, TYPE)
