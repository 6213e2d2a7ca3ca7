"""The manner of the code: small files and functions with telling names, and what only a few places may do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import PurePath

from tests.house.sources import Source, Use, modules, server, shipped, uses

LONGEST_MODULE = 300
LONGEST_FUNCTION = 45
HIDING_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "service", "misc"}

# Two places catch what nobody expects, and tell of it with the traceback. The others pass it on to who waits for it.
CATCHES_BROADLY = {
    "server/fencepost/rpc/registry.py": "one call's bug must not spoil its neighbours; the caller gets internal-error",
    "server/fencepost/rpc/endpoint.py": "the same for what happens outside of calls",
    "server/fencepost/rest/site.py": "the same for what is served beside calls",
    "server/fencepost/vocabularies/machines/grpc/status_codes.py": "the same for what machines call",
    "server/fencepost/loops/errands.py": "a handler's bug fails its task, which is told as a call's is",
    "server/fencepost/loops/loop.py": "a duty goes on after a failure",
    "server/fencepost/store/lanes.py": "passes it on to the future of the caller; the thread lives on",
    "server/fencepost/store/batches.py": "passes it on to every caller of the batch; the next batch runs",
    "server/fencepost/engine/outcomes.py": "one of several calls raised it: it is the outcome of that call",
    "server/fencepost/engine/dispatcher.py": "passes it on to every poll of the claim; the next claim runs",
    "server/fencepost/store/embedded/supervisor.py": "stops Postgres and raises it again",
    "executor_sdk/python/fencepost_sdk/threads.py": "raises it in the coroutine that awaits the thread",
    "executor_sdk/python/fencepost_sdk/payloads.py": "code of a value raised it: it becomes NotJson",
    "executor_sdk/python/fencepost_sdk/failures.py": "a broken __str__ costs the error its message",
    "executor_sdk/python/fencepost_sdk/leases.py": "an invalid notification is dropped for a plain heartbeat",
    "executor_sdk/python/fencepost_sdk/executions.py": "the exception of a handler becomes the error of its task",
    "executor_sdk/python/fencepost_sdk/testing.py": "an exception of a decider in a replay is a difference",
}
READS_THE_ENVIRONMENT = {
    "server/fencepost/settings.py": "settings",
    "server/fencepost/child.py": "keeps FENCEPOST_* of the outside away from children",
    "server/fencepost/store/conninfo.py": "libpq's own variables win over our limits",
    "server/fencepost/store/session.py": "PGOPTIONS wins over our limits",
    "server/fencepost/demo/rehearsal.py": "excepts this machine from a proxy",
}
SLEEPS = {
    ("server/fencepost/store/embedded/supervisor.py", "_start"): "Postgres cannot tell when its predecessor is gone",
    ("server/fencepost/store/embedded/supervisor.py", "_try"): "nor when it takes connections",
    ("server/fencepost/store/embedded/leftovers.py", "stop_servers"): "nor when the last process of one is gone",
    ("server/fencepost/demo/rehearsal.py", "_import"): "draws four times a second",
}


def test_no_module_is_longer_than_300_lines() -> None:
    long = {source.path: lines for source in shipped() if (lines := source.text.count("\n")) > LONGEST_MODULE}
    assert long == {}


def test_no_function_is_longer_than_45_lines() -> None:
    assert [use for source in shipped() for use in _long_functions(source)] == []


def test_no_module_or_folder_hides_behind_a_name_that_says_nothing() -> None:
    files = modules("server", "executor_sdk/python", "tests", "tools")
    assert [source.path for source in files if HIDING_NAMES & {*PurePath(source.path).with_suffix("").parts}] == []


def test_only_places_with_a_reason_catch_whatever_comes() -> None:
    found = {source.path for source in shipped() for _ in _broad_catches(source)}
    assert found <= set(CATCHES_BROADLY)
    assert set(CATCHES_BROADLY) <= found, "remove the reasons that are no longer needed"


def test_only_the_settings_and_the_command_line_read_the_environment() -> None:
    found = {use.path for source in server() for use in uses(source, "os.environ", "os.getenv", "environ", "getenv")}
    assert {path for path in found if not path.startswith("server/fencepost/cli/")} <= set(READS_THE_ENVIRONMENT)


def test_the_server_waits_for_events_and_does_not_sleep() -> None:
    found = {(use.path, use.function) for source in server() for use in uses(source, "time.sleep")}
    assert found == set(SLEEPS)


def test_no_test_sleeps() -> None:
    # The handlers that a test hands to a worker may: they are what takes time.
    sleeping = (
        use for source in modules("tests") for use in uses(source, "time.sleep", "asyncio.sleep", "anyio.sleep")
    )
    assert [use for use in sleeping if use.function.startswith("test_") or use.function == ""] == []


def test_nobody_but_the_clock_of_the_database_tells_the_time() -> None:
    clocks = ("time.time", "datetime.now", "datetime.utcnow", "datetime.today")
    found = [use for source in server() for use in uses(source, *clocks)]
    assert [use for use in found if not use.path.startswith("server/fencepost/demo/")] == []


def test_no_test_speaks_to_a_mock() -> None:
    assert [source.path for source in modules("tests") if {"mock", "unittest.mock"} & set(_imported(source))] == []


def _imported(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module or "", *(f"{node.module}.{name.name}" for name in node.names))


def _long_functions(source: Source) -> Iterator[Use]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST_FUNCTION:
                yield Use(source.path, node.lineno, node.name)


def _broad_catches(source: Source) -> Iterator[Use]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = [] if node.type is None else [ast.unparse(one) for one in ast.walk(node.type)]
            if node.type is None or {"Exception", "BaseException"} & set(caught):
                yield Use(source.path, node.lineno, "")
