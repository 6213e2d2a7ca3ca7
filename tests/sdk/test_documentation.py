"""Every example runs: the code of the README, the examples in docstrings, and the quickstart."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import json
import re
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import fencepost_sdk
from fencepost_sdk import (
    AsyncClient,
    Client,
    Context,
    Event,
    Facts,
    LostLease,
    TaskFailed,
    Worker,
    actions,
    testing,
)
from tests.fixtures.servers import Server
from tests.fixtures.waiting import until
from tests.sdk.conftest import Run

SDK = Path(__file__).parents[2] / "executor_sdk" / "python"
BLOCKS = re.findall(r"```python\n(.*?)```", (SDK / "README.md").read_text("utf-8"), re.DOTALL)
RAISES = {"TaskFailed": TaskFailed, "Context.check": LostLease}
OF_DECIDERS = {
    "schedule_task",
    "schedule_workflow",
    "wait",
    "subscribe",
    "complete",
    "fail",
    "unknown_error",
    "do_nothing",
}


def public() -> Iterator[tuple[str, Any]]:
    """Yield what users may use, with its name: classes, methods and properties."""
    names = {name: getattr(fencepost_sdk, name) for name in fencepost_sdk.__all__ if name != "actions"}
    names |= {name: getattr(testing, name) for name in testing.__all__}
    for name, one in vars(actions).items():
        if inspect.isfunction(one) and one.__module__ == actions.__name__ and name in OF_DECIDERS:
            names[f"actions.{name}"] = one
    for name, one in names.items():
        yield name, one
        if inspect.isfunction(one):
            continue
        for key, member in vars(one).items():
            if not key.startswith("_") and (inspect.isfunction(member) or isinstance(member, property | classmethod)):
                yield f"{name}.{key}", member


def example_of(one: Any) -> str:
    """Return the example of a docstring: its longest end that is code."""
    paragraphs = (inspect.getdoc(one) or "").split("\n\n")
    for first in range(1, len(paragraphs)):
        text = textwrap.dedent("\n\n".join(paragraphs[first:]))
        with contextlib.suppress(SyntaxError):
            compiled(text, "?")
            return text
    raise AssertionError(f"{one!r} has no example")


def compiled(text: str, name: str) -> types.CodeType:
    """Compile an example, which may await."""
    code: types.CodeType = compile(text, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return code


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch, server: Server) -> Callable[[str], str]:
    """Point examples to the test's server."""
    monkeypatch.setenv("FENCEPOST_URL", server.url)
    return lambda text: text.replace("http://127.0.0.1:8080", server.url)


def test_the_code_of_the_readme_works(server: Server, run: Run, local: Callable[[str], str]) -> None:
    of_workers = [block for block in BLOCKS if "@worker." in block]
    others = [block for block in BLOCKS if "@worker." not in block]
    assert (len(of_workers), len(others)) == (4, 3)
    for block in of_workers:
        namespace: dict[str, Any] = {"__name__": "readme"}
        exec(compile(local(block), "README.md", "exec", dont_inherit=True), namespace)
        run(namespace["worker"])
    until(lambda: len(server.rpc("awf.definition/list")["resources"]) == 5)
    for block in others:
        exec(compile(local(block), "README.md", "exec", dont_inherit=True), {"__name__": "readme"})


def decide(workflow: Facts[Any], event: Event) -> Any:
    """Decide about `demo/order`, as the examples need it."""
    if event.kind != "init" or workflow.label == "live":
        return None
    return actions.complete() if workflow.label is None else actions.fail({"code": workflow.label})


def test_each_public_name_has_a_docstring_with_an_example_that_runs(
    server: Server, run: Run, local: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answering = Worker(server.url)
    answering.task("demo/greet", declare=True)(lambda: {"greeting": "Hello"})
    answering.task("demo/mail", declare=True)(lambda: {"sent": True})
    answering.workflow("demo/order", declare=True)(decide)
    run(answering)
    until(lambda: len(server.rpc("awf.definition/list")["resources"]) == 3)
    server.define("demo/resize")
    with Client(server.url) as client:
        client.workflow_result(client.create_workflow("demo/order", id="order-1815"), timeout=20)
    status = {"id": "order-1815", "include-activities?": True, "include-decisions?": True}
    tmp_path.joinpath("order-1815.json").write_text(json.dumps(server.rpc("awf.workflow/status", status)))
    monkeypatch.chdir(tmp_path)
    names = list(enumerate(public()))
    # Examples end where a program would go on for ever.
    monkeypatch.setattr(Worker, "run", lambda worker: None)
    for number, (name, one) in names:
        assert re.match(r"[A-Z`].*?[.;:]", inspect.getdoc(one) or "", re.DOTALL), f"{name} has no sentence"
        # Every example has tasks of its own.
        text = local(example_of(one)).replace('"mail-', f'"{number}-mail-')
        text = re.sub(r'"(order-\d+)"', rf'"{number}-\1"', text)
        try:
            asyncio.run(_try(name, compiled(text, name), server, number))
        except Exception as error:
            raise AssertionError(f"the example of {name} fails: {error!r}\n{text}") from error


async def _try(name: str, code: types.CodeType, server: Server, number: int) -> None:
    """Run an example among the things that it takes for granted."""
    is_live = name.endswith((".cancel", "Client.batch", ".retry"))
    later = datetime(2100, 1, 1, tzinfo=UTC) if is_live else None
    with Client(server.url) as given, Client(server.url) as client:
        awaited = AsyncClient(server.url)
        for id in ("mail-1815", "mail-1", "mail-2"):
            given.create("demo/mail", {"to": "ada@example.org"}, id=f"{number}-{id}", execute_at=later)
        if name.endswith(".retry"):
            given.cancel(f"{number}-mail-1815")
        task = given.create("demo/resize", {"width": 2})
        if name == "TaskCanceled":
            given.cancel(task)
        label = "live" if name.endswith((".signal", ".cancel_workflow", "Canceled")) else None
        order = given.create_workflow(
            "demo/order", id=f"{number}-order-1815", label="too-dear" if name == "WorkflowFailed" else label
        )
        if name == "WorkflowCanceled":
            given.cancel_workflow(order)
        worker = Worker(server.url)
        worker.task("demo/unused", declare=True)(lambda: None)
        ctx = Context(b'{"id": "a", "definition": "demo/resize", "status": "in-progress"}', lambda: None)
        namespace: dict[str, Any] = {
            **{name: getattr(fencepost_sdk, name) for name in fencepost_sdk.__all__},
            **{name: getattr(testing, name) for name in testing.__all__},
            "__name__": "example",
            "decide": decide,
            "asyncio": asyncio,
            "timedelta": timedelta,
            "client": awaited if name.startswith("AsyncClient") else client,
            "task": task,
            "worker": worker,
            "ctx": ctx,
            "rows": [1, 2],
            "pages": [1, 2],
            "load": lambda row: ctx._end(),
            "store": lambda page: None,
            "look_again": ctx._end,
        }
        with pytest.raises(RAISES[name]) if name in RAISES else contextlib.nullcontext():
            running = eval(code, namespace)
            if running is not None:
                await running
        awaited.close()


def test_the_quickstart_runs(server: Server, local: Callable[[str], str]) -> None:
    script = str(SDK / "examples" / "quickstart.py")
    with subprocess.Popen([sys.executable, script, "worker"]) as worker:
        until(lambda: server.rpc("awf.definition/list")["resources"])
        try:
            told = subprocess.run([sys.executable, script, "client"], capture_output=True, text=True, timeout=60)
        finally:
            worker.terminate()
    assert told.stdout.splitlines() == [
        f"{{'dish': '{dish}', 'attempt': 1}}" for dish in ("soup", "pancakes", "tea")
    ], told.stderr


def test_the_sdk_imports_nothing_of_the_server() -> None:
    code = (
        "import sys, fencepost_sdk\n"
        "loaded = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(name for name in loaded if not name.startswith('_')))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # The last one is what msgspec uses when it is there.
    assert set(ast.literal_eval(told.stdout)) <= {"fencepost_sdk", "msgspec", "typing_extensions"}
