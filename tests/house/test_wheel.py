"""The contents of the wheels, and a server that runs from a wheel without a checkout."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import orjson
import psycopg
import pytest

from tests.house.sources import ROOT

SDK = ROOT / "executor_sdk" / "python"
READY = re.compile(r"fencepost: ready on (http://127\.0\.0\.1:\d+)\n")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheels of the server and of the SDK."""
    return build(ROOT, tmp_path_factory.mktemp("server")), build(SDK, tmp_path_factory.mktemp("sdk"))


@pytest.fixture(scope="module")
def environment(wheels: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheels, and with the dependencies of the test environment."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", f"--python={folder}/bin/python"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--no-compile", *map(str, wheels)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # A *.pth file in a folder that another *.pth file names has no effect, so the editable checkout is not imported.
    (packages / "dependencies.pth").write_text(f"{Path(psycopg.__file__).parents[1]}\n")
    return folder / "bin"


@pytest.fixture
def serving(environment: Path, tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server from the wheel, in a folder outside of the checkout: its address and its process."""
    command = [f"{environment}/fencepost", "serve", "--port", "0", "--data-dir", f"{tmp_path}/data"]
    with subprocess.Popen(command, cwd=tmp_path, env=clean(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = READY.fullmatch(process.stdout.readline())
            assert ready is not None
            yield ready[1], process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(15)


def test_the_server_wheel_contains_only_its_package(wheels: tuple[Path, Path]) -> None:
    assert roots(wheels[0]) == {"fencepost"}


def test_the_sdk_wheel_contains_only_its_package(wheels: tuple[Path, Path]) -> None:
    assert roots(wheels[1]) == {"fencepost_sdk"}


def test_the_server_wheel_contains_statements_migrations_and_the_openapi_document(wheels: tuple[Path, Path]) -> None:
    needed = [*ROOT.glob("sql/migrations/*.sql"), *ROOT.glob("sql/queries/**/*.sql"), ROOT / "openapi" / "openapi.yaml"]
    assert len(needed) > 10
    wanted = {f"fencepost/_data/{file.relative_to(ROOT).as_posix()}" for file in needed}
    assert {name for name in names(wheels[0]) if name.startswith("fencepost/_data/")} == wanted


def test_the_server_wheel_contains_every_file_of_the_package(wheels: tuple[Path, Path]) -> None:
    package = ROOT / "server" / "fencepost"
    files = [file for file in package.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert {file.relative_to(package.parent).as_posix() for file in files} <= set(names(wheels[0]))


def test_a_server_from_the_wheel_answers_calls_and_stops_on_a_signal(
    serving: tuple[str, subprocess.Popen[str]], environment: Path, tmp_path: Path
) -> None:
    url, process = serving
    package = python(environment, "import fencepost; print(fencepost.__file__)", tmp_path)
    assert Path(package).is_relative_to(environment.parent)

    call = {"method": "awf.definition/put", "params": {"kind": "task", "name": "demo/resize"}}
    assert post(url, call)["result"]["resource"]["version"] == 1
    with opener().open(f"{url}/openapi.yaml", timeout=10) as document:
        assert document.read() == (ROOT / "openapi" / "openapi.yaml").read_bytes()

    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0


def test_the_sdk_from_its_wheel_imports_no_server_code(environment: Path, tmp_path: Path) -> None:
    program = "import fencepost_sdk, sys; print('fencepost' in sys.modules)"
    assert python(environment, program, tmp_path) == "False"


def build(project: Path, folder: Path) -> Path:
    """Build the wheel of a project with the installed build backend."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder), str(project)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def names(wheel: Path) -> list[str]:
    """Return the paths of the files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def roots(wheel: Path) -> set[str]:
    """Return the top-level names that a wheel puts into site-packages, without its metadata."""
    return {name.split("/")[0] for name in names(wheel) if ".dist-info/" not in name}


def python(environment: Path, program: str, folder: Path) -> str:
    """Run a program in an environment and return what it prints."""
    command = [f"{environment}/python", "-c", program]
    done = subprocess.run(command, cwd=folder, env=clean(), capture_output=True, text=True, check=True)
    return done.stdout.strip()


def clean() -> dict[str, str]:
    """Return this environment without variables that configure Python or the server."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("FENCEPOST_", "PYTHON"))}


def opener() -> urllib.request.OpenerDirector:
    """Return an opener that ignores the proxy of the environment."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def post(url: str, call: object) -> dict[str, dict[str, dict[str, object]]]:
    """Post a call and return the answer."""
    request = urllib.request.Request(f"{url}/rpc", orjson.dumps(call), {"content-type": "application/json"})
    with opener().open(request, timeout=10) as answer:
        return orjson.loads(answer.read())  # type: ignore[no-any-return]
