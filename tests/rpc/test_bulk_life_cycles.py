"""The same random life cycles by single calls and by calls for many tasks: the same states and logs."""

from __future__ import annotations

import random
from typing import Any

import pytest

from fencepost.clock import FrozenClock
from tests.fixtures.servers import CallRefused, Server, pass_time

CONTENTS = {"success": "result", "fail": "error", "release": ""}
COUNT = 12


class Singly:
    """Makes one call for each task."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.definition = "demo/singly"

    def create(self, params: list[Any], **members: Any) -> list[str | None]:
        """Create tasks; return their ids, None for a refused one."""
        return [self._id({"definition": self.definition, "params": one, **members}) for one in params]

    def poll(self, size: int) -> list[Any]:
        """Return whole tasks."""
        return self.server.poll(self.definition, start=True, maxBatchSize=size)

    def finish(self, verb: str, tasks: list[Any], contents: list[Any]) -> list[str | None]:
        """End executions; return the type of the refusal of each, or None."""
        refusals: list[str | None] = []
        for task, content in zip(tasks, contents, strict=True):
            params = {"id": task["id"], "execId": task["execId"]}
            if CONTENTS[verb] and content is not None:
                params[CONTENTS[verb]] = content
            try:
                self.server.rpc(f"awf.task/{verb}", params)
                refusals.append(None)
            except CallRefused as refused:
                refusals.append(refused.fault["type"])
        return refusals

    def _id(self, params: Any) -> str | None:
        try:
            return str(self.server.rpc("awf.task/create-and-execute", params)["resource"]["id"])
        except CallRefused:
            return None


class Together(Singly):
    """Makes one call for all tasks."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self.definition = "demo/together"

    def create(self, params: list[Any], **members: Any) -> list[str | None]:
        call = {"definition": self.definition, "params": params, **members}
        return list(self.server.rpc("awf.task/create-many", call)["ids"])

    def poll(self, size: int) -> list[Any]:
        return self.server.poll(self.definition, start=True, maxBatchSize=size, fields=["params"])

    def finish(self, verb: str, tasks: list[Any], contents: list[Any]) -> list[str | None]:
        params = {"ids": [task["id"] for task in tasks], "execIds": [task["execId"] for task in tasks]}
        if CONTENTS[verb]:
            params[f"{CONTENTS[verb]}s"] = contents
        refused = self.server.rpc(f"awf.task/{verb}-many", params)["refused"]
        types = {item["index"]: item["error"]["type"] for item in refused}
        return [types.get(place) for place in range(len(tasks))]


def life_cycle(way: Singly, clock: FrozenClock, dice: random.Random, settings: dict[str, Any]) -> list[Any]:
    """Let tasks live through random calls; return the outcome of each call, and the final states and logs."""
    server = way.server
    server.define(way.definition, **settings)
    outcomes: list[Any] = []
    ids: list[str] = []
    ended: list[tuple[str, list[Any], list[Any]]] = []
    for round in range(20):
        step = "create" if round < 2 else dice.choice(["create", "finish", "finish", "finish", "repeat", "wait"])
        if step == "create":
            params = [dice.choice([{"n": number}, {"n": "x"}, {}, None]) for number in range(dice.randint(1, COUNT))]
            members: dict[str, Any] = dice.choice(
                [{}, {}, {"executeAt": "2026-01-01T00:00:05Z"}, {"settings": {"retryDelay": 1}}]
            )
            created = way.create(params, **members)
            outcomes.append([id is None for id in created])
            ids += [id for id in created if id is not None]
        elif step == "finish":
            tasks = way.poll(dice.randint(1, COUNT))
            verb = dice.choice([*CONTENTS])
            contents = [dice.choice([None, {"rows": 1}, {"rows": "x"}, {}]) for _ in tasks]
            if tasks:
                outcomes.append(way.finish(verb, tasks, contents))
                ended.append((verb, tasks, contents))
        elif step == "repeat" and ended:
            verb, tasks, contents = dice.choice(ended)
            outcomes.append(way.finish(dice.choice([verb, "success"]), tasks, contents))
        elif step == "wait":
            pass_time(server, clock, dice.choice([1000, 5000, 20_000]))
    places = {id: str(place) for place, id in enumerate(ids)}
    return [outcomes, [shown(server, id, places) for id in ids]]


def shown(server: Server, id: str, places: dict[str, str]) -> Any:
    """Return the state and the log of a task without what differs between two tasks."""
    try:
        task = server.task(id)
    except CallRefused as refused:
        return [places[id], refused.fault["type"]]
    hidden = {"id", "execId", "definition", "meta"}
    log = [
        {name: entry[name] for name in entry if name not in {*hidden, "subject", "scheduled", "re-scheduled"}}
        for entry in server.log(id)
    ]
    for entry in log:
        entry.get("action-params", {}).pop("definition", None)
    return [places[id], {name: task[name] for name in task if name not in hidden}, task["meta"]["versionId"], log]


@pytest.mark.parametrize("schemas", [False, True])
@pytest.mark.parametrize("keep", ["all", "failures", "none"])
@pytest.mark.parametrize("seed", range(6))
def test_calls_for_many_tasks_lead_to_the_states_and_logs_of_single_calls(
    frozen_server: Server, clock: FrozenClock, seed: int, schemas: bool, keep: str
) -> None:
    number: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}, "rows": {"type": "integer"}}}
    # No attempt is lost: the delay after it depends on the id of the task.
    settings: dict[str, Any] = {"inProgressTimeout": 3_600_000, "retryDelay": 3000, "allowedRetryCount": 2}
    settings["keep"] = keep
    if schemas:
        settings |= {"params": number, "result": {**number, "required": ["rows"]}, "error": number}
    start = clock.now()
    singly = life_cycle(Singly(frozen_server), clock, random.Random(seed), settings)
    later = clock.now()
    assert start is not None
    assert later is not None
    clock.advance(start - later)
    together = life_cycle(Together(frozen_server), clock, random.Random(seed), settings)

    assert together == singly
    kept = {outcome for (outcome,) in frozen_server.query("select distinct outcome from fencepost.done_tasks")}
    left = {outcome for (outcome,) in frozen_server.query("select distinct outcome from fencepost.receipts")}
    never = {"all": set(), "failures": {"succeeded"}, "none": {"succeeded", "failed"}}[keep]
    assert kept.isdisjoint(never)
    assert left <= never
