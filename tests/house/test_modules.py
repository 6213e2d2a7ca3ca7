"""Names of modules, and the few places that may catch every exception, sleep or read the environment."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import PurePath

from tests.house.sources import Source, Use, modules, server, shipped, uses

HIDING_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "service", "misc"}

# An unexpected exception ends at one of these places, which emit an event with the traceback.
REPORTS = {
    "server/fencepost/rpc/registry.py": "the caller gets internal-error, and the other calls of an array are answered",
    "server/fencepost/rpc/endpoint.py": "the same for an error outside of calls",
    "server/fencepost/http/site.py": "the same for the routes beside /rpc",
    "server/fencepost/vocabularies/machines/grpc/status_codes.py": "the same for gRPC",
    "server/fencepost/loops/internal_worker.py": "the built-in task fails, with the number of the event",
    "server/fencepost/loops/loop.py": "the next round of the loop runs",
}
# These places pass every exception on to the code that waits for the result, or turn the caller's own into a value.
PASSES_ON = {
    "server/fencepost/store/connection_threads.py": "to the future of the caller; the thread continues",
    "server/fencepost/store/batches.py": "to every caller of the batch; the next batch runs",
    "server/fencepost/engine/outcomes.py": "as the outcome of one of several calls",
    "server/fencepost/engine/dispatcher.py": "to every poll of the claim; the next claim runs",
    "server/fencepost/engine/waits.py": "to every caller of the read; the next read runs",
    "server/fencepost/store/embedded/supervisor.py": "stops Postgres and raises it again",
    "executor_sdk/python/fencepost_sdk/threads.py": "to the coroutine that awaits the thread",
    "executor_sdk/python/fencepost_sdk/payloads.py": "raised by code of a value: it becomes NotJson",
    "executor_sdk/python/fencepost_sdk/failures.py": "a broken __str__ costs the error its message",
    "executor_sdk/python/fencepost_sdk/leases.py": "an invalid notification is dropped for a plain heartbeat",
    "executor_sdk/python/fencepost_sdk/batches.py": "what one task raises becomes the error of that task",
    "executor_sdk/python/fencepost_sdk/executions.py": "the exception of a handler becomes the error of its task",
    "executor_sdk/python/fencepost_sdk/runners.py": "to the handler that awaits",
    "executor_sdk/python/fencepost_sdk/testing.py": "an exception of a decider in a replay is a difference",
}
READS_THE_ENVIRONMENT = {
    "server/fencepost/settings.py": "settings",
    "server/fencepost/subprocesses.py": "keeps FENCEPOST_* variables from children",
    "server/fencepost/store/conninfo.py": "libpq's own variables win over our limits",
    "server/fencepost/store/session.py": "PGOPTIONS wins over our limits",
    "server/fencepost/demo/run.py": "adds this machine to no_proxy",
}
SLEEPS = {
    ("server/fencepost/store/embedded/supervisor.py", "_start"): "Postgres cannot tell when its predecessor is gone",
    ("server/fencepost/store/embedded/supervisor.py", "_try"): "nor when it takes connections",
    ("server/fencepost/store/embedded/leftovers.py", "stop_servers"): "nor when the last process of one is gone",
    ("server/fencepost/demo/run.py", "_import"): "refreshes the display several times a second",
}


def test_no_module_or_folder_has_a_name_without_meaning() -> None:
    files = modules("server", "executor_sdk/python", "tests", "tools")
    assert [source.path for source in files if HIDING_NAMES & {*PurePath(source.path).with_suffix("").parts}] == []


def test_only_places_with_a_reason_catch_every_exception() -> None:
    found = {source.path for source in shipped() for _ in _broad_catches(source)}
    assert sorted(found) == sorted(REPORTS | PASSES_ON)


def test_only_the_settings_and_the_command_line_read_the_environment() -> None:
    found = {use.path for source in server() for use in uses(source, "os.environ", "os.getenv", "environ", "getenv")}
    assert {path for path in found if not path.startswith("server/fencepost/cli/")} <= set(READS_THE_ENVIRONMENT)


def test_the_server_waits_for_events_and_does_not_sleep() -> None:
    found = {(use.path, use.function) for source in server() for use in uses(source, "time.sleep")}
    assert found == set(SLEEPS)


def test_no_test_sleeps() -> None:
    # The handlers of a test may sleep, because they simulate work.
    sleeping = (
        use for source in modules("tests") for use in uses(source, "time.sleep", "asyncio.sleep", "anyio.sleep")
    )
    assert [use for use in sleeping if use.function.startswith("test_") or use.function == ""] == []


def test_the_server_takes_the_time_only_from_the_database() -> None:
    clocks = ("time.time", "datetime.now", "datetime.utcnow", "datetime.today")
    found = [use for source in server() for use in uses(source, *clocks)]
    assert [use for use in found if not use.path.startswith("server/fencepost/demo/")] == []


def test_no_test_uses_a_mock() -> None:
    assert [source.path for source in modules("tests") if {"mock", "unittest.mock"} & set(_imported(source))] == []


def _imported(source: Source) -> Iterator[str]:
    if "mock" not in source.text:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module or "", *(f"{node.module}.{name.name}" for name in node.names))


def _broad_catches(source: Source) -> Iterator[Use]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = [] if node.type is None else [ast.unparse(one) for one in ast.walk(node.type)]
            if node.type is None or {"Exception", "BaseException"} & set(caught):
                yield Use(source.path, node.lineno, "")
