"""The modules of server/fencepost/vocabularies/machines/grpc/proto, as the compiler of its .proto files writes them."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "server/fencepost/vocabularies/machines/grpc/proto"
NAMES = ("workflow", "action_2025", "workflow_2021", "template_2021", "hardware_2021")
PATHS = tuple(f"{FOLDER}/{name}{suffix}" for name in NAMES for suffix in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py"))


def generated(path: str) -> str:
    """Return what a module says."""
    return _compiled()[path]


@cache
def _compiled() -> dict[str, str]:
    from grpc_tools import protoc

    sources = [f"fencepost/vocabularies/machines/grpc/proto/{name}.proto" for name in NAMES]
    with TemporaryDirectory() as folder:
        includes = [f"-I{ROOT / 'server'}", f"-I{resources.files('grpc_tools') / '_proto'}"]
        outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
        status = protoc.main(["protoc", *includes, *outputs, *sources])
        assert status == 0, "protoc has said why"
        return {path: (Path(folder) / path.removeprefix("server/")).read_text("utf-8") for path in PATHS}
