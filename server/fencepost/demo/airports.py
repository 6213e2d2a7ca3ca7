"""The airports of the world, from the package airportsdata (MIT licence), written out as gzipped NDJSON."""

from __future__ import annotations

import gzip
from collections import defaultdict
from pathlib import Path

import airportsdata
import orjson

from fencepost.demo.source import Source, source_of

TYPE = "Airport"

# By the time zone's name, and half of all airports are in the United States.
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
    """Write the airports into `folder`, a file a region, and return the files, largest first."""
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
    # Level 1 and no time: it is written at every start, and the same data makes the same bytes.
    unfinished.write_bytes(gzip.compress(b"\n".join([*lines, b""]), compresslevel=1, mtime=0))
    # An executor that a killed demo left behind may still read the old one.
    unfinished.replace(path)
    return source_of(path, TYPE)
