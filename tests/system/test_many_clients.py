"""Many clients that call two servers about a few tasks at random, with short deadlines."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.fixtures.servers import Server
from tests.fixtures.two_servers import TwoServers
from tests.system.queue_tasks import check_replay

CALLERS = 12
CALLS = 150
DEFINITIONS = ["clients/one", "clients/other"]
LIMITED = "clients/limited"
LIMIT = 2
TIMES = {"requestedToStartTimeout": 20, "inProgressTimeout": 30, "retryDelay": 5}


class Caller:
    """A client that makes random calls; all clients share the leases that polls returned."""

    def __init__(self, server: Server, seed: int, leases: list[dict[str, str]]) -> None:
        self.answers: Counter[str] = Counter()
        self._server = server
        self._random = random.Random(seed)
        self._leases = leases

    def run(self) -> Counter[str]:
        """Make random calls and return the number of each answer."""
        for _ in range(CALLS):
            calls = [self._call() for _ in range(self._random.choice([1, 1, 1, 5]))]
            body = [{"method": f"awf.{method}", "params": params} for method, params in calls]
            status, answers = self._server.post(body)
            assert status == 200
            for (method, _), answer in zip(calls, answers, strict=True):
                self.answers[f"{method} {answer.get('error', {}).get('type', 'ok')}"] += 1
                for task in answer.get("result", {}).get("resources", []):
                    self._leases.append({"id": task["id"], "execId": task["execId"]})
        return self.answers

    def _call(self) -> tuple[str, dict[str, Any]]:
        choose = self._random.choice
        method = choose(
            ["create-and-execute"] * 3
            + ["poll"] * 4
            + ["start", "notify", "success", "fail", "release"] * 3
            + ["cancel"]
            + ["retry", "put", "delete"]
        )
        lease = choose(self._leases[-10:] or [{"id": "task-0", "execId": "5c1d3f7e-0000-4000-8000-000000000000"}])
        match method:
            case "create-and-execute":
                about = {"definition": choose([*DEFINITIONS, LIMITED]), "id": f"task-{self._random.randrange(90)}"}
                return f"task/{method}", {**about, "params": {"lane": self._random.randrange(2)}}
            case "poll":
                params = {
                    "taskDefinitions": choose([[*DEFINITIONS, LIMITED], DEFINITIONS[:1], [LIMITED]]),
                    "maxBatchSize": choose([1, 3]),
                }
                request = {"requestId": f"r-{self._random.randrange(4)}"} if choose([True, False]) else {}
                return "task/poll", {**params, **request, "start": choose([True, False])}
            case "cancel" | "retry":
                return f"task/{method}", {"id": lease["id"]}
            case "put":
                return "definition/put", definition(choose(DEFINITIONS), choose([0, 1, 2]))
            case "delete":
                return "definition/delete", {"name": choose(DEFINITIONS)}
            case "notify":
                return "task/notify", {**lease, "notification": "heartbeat"}
            case _:
                return f"task/{method}", lease


def definition(name: str, retries: int) -> dict[str, Any]:
    return {"kind": "task", "name": name, "allowedRetryCount": retries, **TIMES}


@pytest.mark.parametrize("seed", [1, 2])
def test_the_log_of_each_task_ends_in_its_state_after_random_calls_of_many_clients(
    servers: TwoServers, pool: ThreadPoolExecutor, seed: int
) -> None:
    for name in DEFINITIONS:
        servers.one.rpc("awf.definition/put", definition(name, 1))
    limits = {"concurrencyLimit": LIMIT, "concurrencyPath": ["params", "lane"]}
    servers.one.rpc("awf.definition/put", {**definition(LIMITED, 1), **limits})
    leases: list[dict[str, str]] = []
    callers = [Caller(servers[number % 2], seed * 100 + number, leases) for number in range(CALLERS)]
    running = [pool.submit(caller.run) for caller in callers]
    most = most_held(servers.conninfo, running)
    answers = sum((one.result() for one in running), Counter[str]())
    assert most == LIMIT, "at most the limit, and sometimes the limit"

    assert not {answer for answer in answers if answer.endswith(("internal-error", "unavailable"))}
    check(servers.one)


def most_held(conninfo: str, running: list[Future[Counter[str]]]) -> int:
    """Return the largest number of limited tasks of one lane that were leased at once while the clients ran."""
    most = 0
    with psycopg.connect(conninfo, autocommit=True) as connection:
        while not all(one.done() for one in running):
            row = connection.execute(
                "select count(*) from fencepost.live_tasks as l where"
                " l.definition = %s and l.exec_id is not null group by l.params ->> 'lane' order by 1 desc limit 1",
                (LIMITED,),
            ).fetchone()
            most = max(most, row[0] if row else 0)
    return most


def check(server: Server) -> None:
    """Check that each task is either live or done, and that its log leads to its state, one execution at a time."""
    ids = [id for (id,) in server.query("select id from fencepost.task_resources")]
    live_and_done = server.query(
        "select (select count(*) from fencepost.live_tasks) + (select count(*) from fencepost.done_tasks)"
    )
    assert live_and_done == [(len(ids),)]
    owners: dict[str, str] = {}
    for id in ids:
        answer = server.rpc("awf.task/status", {"id": id, "include-log?": True})
        check_replay(answer["resource"], answer["log"], waited=timedelta(seconds=1))
        for entry in answer["log"]:
            assert owners.setdefault(entry.get("execId", id), id) == id, "an execId names one execution of one task"
