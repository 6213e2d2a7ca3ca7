"""The steps of the Dockerfile, run in an empty folder, because a test machine has no container engine."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.waiting import until

CHECKOUT = Path(__file__).parents[2]
INSTALLED = "/opt/fencepost"


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, str]]:
    text = (CHECKOUT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


@pytest.fixture(scope="module")
def root(steps: list[tuple[str, str]]) -> Iterator[Path]:
    """The root of an image, after the steps of the build stage."""
    with tempfile.TemporaryDirectory(prefix="fencepost-image-") as name:
        root = Path(name)
        root.chmod(0o755)
        source = root / "src"
        source.mkdir()
        for word, rest in _of_build_stage(steps):
            if word == "COPY":
                *origins, target = shlex.split(rest)
                for origin in origins:
                    _copy(origin, source / target)
            elif word == "RUN":
                subprocess.run(["sh", "-ec", rest.replace(INSTALLED, f"{root}{INSTALLED}")], cwd=source, check=True)
        shutil.rmtree(source)
        yield root


def _of_build_stage(steps: list[tuple[str, str]]) -> list[tuple[str, str]]:
    second = [number for number, (word, _) in enumerate(steps) if word == "FROM"][1]
    return steps[:second]


def _copy(origin: str, target: Path) -> None:
    """Copy the files that git does not ignore; .dockerignore excludes the rest of a checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", origin],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    for name in listed:
        if (CHECKOUT / name).is_file() and not name.startswith("tests/"):
            place = target / (Path(name).name if origin != "." else name)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(CHECKOUT / name, place)


def test_the_entrypoint_of_the_image_serves_and_its_healthcheck_succeeds(
    steps: list[tuple[str, str]], root: Path
) -> None:
    settings = dict(steps)
    environment = dict(re.findall(r"(\w+)=(\S+)", settings["ENV"]))
    binaries = f"{root}{INSTALLED}/bin"
    environment |= {
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "FENCEPOST_DATA_DIR": f"{root}/data",
        "FENCEPOST_HOST": "127.0.0.1",
        "FENCEPOST_PORT": "0",
    }
    command = [*_array(settings["ENTRYPOINT"]), *_array(settings["CMD"])]
    with subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            assert ready.startswith("fencepost: ready on http://127.0.0.1:"), ready
            probe = _array(settings["HEALTHCHECK"].partition("CMD")[2])
            probe = [word.replace("http://127.0.0.1:8080", ready.split()[-1]) for word in probe]
            until(lambda: subprocess.run(probe, env=environment, check=False).returncode == 0)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_the_image_listens_only_with_a_client(root: Path) -> None:
    environment = {"PATH": f"{root}{INSTALLED}/bin", "FENCEPOST_HOST": "0.0.0.0"}

    refused = subprocess.run(
        ["fencepost", "serve"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        executable=f"{root}{INSTALLED}/bin/fencepost",
    )

    assert (refused.returncode, "--client" in refused.stderr) == (2, True)


def test_the_image_pins_its_base_and_packages_and_runs_as_an_ordinary_user(steps: list[tuple[str, str]]) -> None:
    last = [word for word, _ in steps][-1]
    users = [rest for word, rest in steps if word == "USER"]

    assert (last, users) == ("CMD", ["fencepost"])
    assert all(":" in rest.split()[0] for word, rest in steps if word == "FROM"), "every base image has a tag"
    assert all("--require-hashes" in rest or "--no-deps" in rest for _, rest in steps if "pip install" in rest)


def _array(text: str) -> list[str]:
    return [word.strip().strip('"') for word in re.findall(r'"((?:[^"\\]|\\.)*)"', text)]
