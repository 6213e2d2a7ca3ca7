"""Overload: calls that cannot be served in time get a Retry-After, polls first, and no call is half done."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import psycopg

from fencepost.settings import Limits, Settings
from tests.fixtures.locks import until_stuck
from tests.fixtures.servers import running_server
from tests.fixtures.waiting import until


def test_an_overloaded_server_rejects_polls_first_and_finishes_last(database: str) -> None:
    with running_server(database, settings=Settings(limits=Limits(waiting=4))) as server, ThreadPoolExecutor(8) as pool:
        server.define()
        leases = [server.started() for _ in range(8)]

        def send(method: str, **params: Any) -> tuple[int, str | None]:
            body = orjson.dumps({"method": method, "params": params})
            # An answer in YAML: calls with answers in JSON may arrive as one list, which is queued or rejected whole.
            status, headers, _ = server.send("POST", "/rpc", body, content_type="application/json", accept="text/yaml")
            return status, headers.get("retry-after")

        with psycopg.connect(database) as holder:
            holder.execute("lock table fencepost.done_tasks in share mode")
            # One call waits for the lock and two are queued: half of the queue.
            finishes = [pool.submit(send, "awf.task/success", **leases[0])]
            until_stuck(database, *finishes)
            finishes += [pool.submit(send, "awf.task/success", **lease) for lease in leases[1:3]]
            until(lambda: send("awf.task/poll", taskDefinitions=["demo/resize"]) == (503, "1"))
            finishes += [pool.submit(send, "awf.task/success", **lease) for lease in leases[3:]]
            until(lambda: sum(finish.done() for finish in finishes) == 3)
            holder.rollback()
        answers = [finish.result(10) for finish in finishes]

        assert sorted(answers) == [(200, None)] * 5 + [(503, "1")] * 3
        for lease, (status, _) in zip(leases, answers, strict=True):
            assert server.task(lease["id"])["status"] == ("done" if status == 200 else "in-progress")
        assert send("awf.task/poll", taskDefinitions=["demo/resize"])[0] == 200
