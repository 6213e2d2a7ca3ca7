"""Answers are bounded in bytes: a poll returns fewer tasks, a list a shorter page, and an array refuses later calls."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from fencepost.cli.rpc_client import RpcClient
from fencepost.cli.workflow import _status
from fencepost.settings import Limits, Settings
from fencepost_sdk import Client
from tests.fixtures.devices import Fleet
from tests.fixtures.events import put_trigger, rule
from tests.fixtures.machines import template_of
from tests.fixtures.schedules import put as put_schedule
from tests.fixtures.servers import Server, running_server
from tests.fixtures.taskflows import Caller, task
from tests.fixtures.waiting import until
from tests.fixtures.workflows import Decider

pytestmark = pytest.mark.shows("guarantees/answers-bounded")

MOST = 900_000
PAYLOAD = {"text": "x" * 300_000}
# The last resource may exceed the limit, and the answer has members of its own.
BOUND = MOST + 350_000


@pytest.fixture
def server(database: str) -> Iterator[Server]:
    with running_server(database, settings=Settings(limits=Limits(answer_bytes=MOST))) as running:
        yield running


def size_of(server: Server, body: Any) -> tuple[int, Any]:
    _, _, answer = server.send("POST", "/rpc", orjson.dumps(body), content_type="application/json")
    return len(answer), orjson.loads(answer)


@pytest.mark.parametrize("limited", [False, True])
def test_a_poll_returns_tasks_up_to_the_answer_size_and_the_others_stay_ready(server: Server, limited: bool) -> None:
    settings: dict[str, Any] = {"concurrencyLimit": 100} if limited else {}
    server.define(**settings)
    ids = [server.create(params=PAYLOAD)["id"] for _ in range(10)]
    polled: list[str] = []

    while len(polled) < len(ids):
        params = {"taskDefinitions": ["demo/resize"], "maxBatchSize": 100, "start": True}
        size, answer = size_of(server, {"method": "awf.task/poll", "params": params})
        some = [task["id"] for task in answer["result"]["resources"]]
        assert size < BOUND
        assert 1 <= len(some) <= 4
        polled += some
        left = {id for id in ids if server.task(id)["status"] == "ready"}
        assert left == set(ids) - set(polled)

    assert polled == ids


def test_concurrent_polls_each_get_a_task_when_one_claim_is_too_small_for_all(server: Server) -> None:
    server.define()
    for _ in range(12):
        server.create(params=PAYLOAD)

    with ThreadPoolExecutor(12) as pool:
        polls = [pool.submit(server.poll, maxBatchSize=1) for _ in range(12)]

    assert [len(poll.result()) for poll in polls] == [1] * 12


def test_waiting_polls_each_get_a_task_when_one_claim_is_too_small_for_all(server: Server) -> None:
    server.define()
    wait = {"method": "awf.task/long-poll", "params": {"taskDefinitions": ["demo/resize"], "timeout": 20_000}}
    with ThreadPoolExecutor(12) as pool:
        polls = [pool.submit(size_of, server, wait) for _ in range(12)]
        for _ in range(12):
            server.create(params=PAYLOAD)

    assert [len(poll.result()[1]["result"]["resources"]) for poll in polls] == [1] * 12


def test_a_task_larger_than_the_answer_size_is_returned_alone(server: Server) -> None:
    server.define()
    server.create(params={"text": "x" * 1_000_000})
    server.create(params=PAYLOAD)

    assert [len(task["params"]["text"]) for task in server.poll(maxBatchSize=10)] == [1_000_000]
    assert [len(task["params"]["text"]) for task in server.poll(maxBatchSize=10)] == [300_000]


def pages(server: Server, method: str, members: str = "resources") -> Iterator[list[Any]]:
    after: dict[str, str] = {}
    while True:
        size, answer = size_of(server, {"method": method, "params": {"limit": 1000, **after}})
        assert size < BOUND
        yield answer["result"][members]
        if "next" not in answer["result"]:
            return
        after = {"after": answer["result"]["next"]}


def tasks(server: Server, number: int) -> str:
    server.define()
    return str(server.create(params=PAYLOAD)["id"])


def workflows(server: Server, number: int) -> str:
    server.rpc("awf.definition/put", {"kind": "workflow", "name": "demo/flow"})
    new = {"definition": "demo/flow", "params": PAYLOAD}
    return str(server.rpc("awf.workflow/create-and-execute", new)["resource"]["id"])


def definitions(server: Server, number: int) -> str:
    return str(server.define(f"demo/kind-{number}", params={"description": PAYLOAD["text"]})["name"])


def triggers(server: Server, number: int) -> str:
    server.define()
    some = rule("type", value=f"demo.{number}")
    return str(put_trigger(server, some, name=f"demo/trigger-{number}", params=PAYLOAD)["name"])


def schedules(server: Server, number: int) -> str:
    server.define()
    request = {"definition": "demo/resize", "params": PAYLOAD}
    return str(put_schedule(server, f"demo/schedule-{number}", task_request=request)["name"])


def devices(server: Server, number: int) -> str:
    return str(server.rpc("awf.device/put", {"name": f"r{number}", "info": PAYLOAD})["resource"]["id"])


def hardware(server: Server, number: int) -> str:
    record = {"id": f"machine-{number}", "metadata": PAYLOAD}
    return str(server.rpc("awf.hardware/push", {"hardware": record})["resource"]["id"])


@pytest.mark.parametrize(
    ("method", "make", "key"),
    [
        ("awf.task/list", tasks, "id"),
        ("awf.workflow/list", workflows, "id"),
        ("awf.definition/list", definitions, "name"),
        ("awf.device/list", devices, "id"),
        ("awf.hardware/list", hardware, "id"),
    ],
)
def test_a_page_of_a_list_ends_at_the_answer_size(server: Server, method: str, make: Any, key: str) -> None:
    made = {make(server, number) for number in range(10)}

    found = [one[key] for page in pages(server, method) for one in page]

    assert set(found) == made
    assert len(found) == len(made)


def flows(server: Server, number: int) -> str:
    """Create a flow with one succeeded task, so that its record in a list contains the large result."""
    content = {"stages": [{"name": "s", "tasks": [task("act")]}]}
    id = Caller(server).produce(content)
    found = until(lambda: server.poll("svc/act", start=True))
    server.rpc("awf.task/success", {"id": found[0]["id"], "execId": found[0]["execId"], "result": PAYLOAD})
    return id


def flow_templates(server: Server, number: int) -> str:
    template = {"name": f"t{number}", "stages": [{"name": "s", "tasks": [task("act")]}], "context": PAYLOAD}
    return str(server.rpc("awf.taskflow.template/add", {"template": template})["data"]["id"])


def machines(server: Server, number: int) -> str:
    document = {"kind": "machine-template", "name": "demo/provision", "template": template_of(("w", ["wipe"]))}
    server.rpc("awf.definition/put", document)
    new = {"definition": "demo/provision", "hardware": {"note": PAYLOAD["text"]}}
    return str(server.rpc("awf.machine/create", new)["resource"]["id"])


@pytest.mark.parametrize(
    ("method", "make", "members", "key", "pieces"),
    [
        ("awf.trigger/list", triggers, "resources", "name", 3),
        ("awf.schedule/list", schedules, "resources", "name", 3),
        ("awf.taskflow/list", flows, "data", "taskflowId", 3),
        ("awf.taskflow.template/list", flow_templates, "data", "id", 3),
        ("awf.machine/list", machines, "resources", "id", 3),
    ],
)
def test_a_page_of_large_triggers_schedules_flows_or_machines_ends_at_the_answer_size(
    server: Server, method: str, make: Any, members: str, key: str, pieces: int
) -> None:
    made = {make(server, number) for number in range(7)}

    found = [[one[key] for one in page] for page in pages(server, method, members)]

    assert len(found) >= pieces
    assert {id for page in found for id in page} == made
    assert sum(map(len, found)) == len(made)


def test_a_page_of_device_runs_ends_at_the_answer_size(server: Server) -> None:
    fleet = Fleet(server, device=None)
    made = {fleet.begin(device=f"r{number}", payload=PAYLOAD)["id"] for number in range(7)}
    found, path = [], f"/workflows/{fleet.name}/runs?limit=100"
    following: str | None = ""
    while following is not None:
        page = fleet.call("GET", path + (following and f"&after={following}"))
        assert 1 <= len(page["runs"]) <= 4
        found += [run["id"] for run in page["runs"]]
        following = page.get("next")
    assert len(found) == len(made)
    assert set(found) == made


@pytest.mark.parametrize("path", ["/AidboxTask", "/AidboxWorkflow"])
def test_a_bundle_ends_at_the_answer_size(server: Server, path: str) -> None:
    made = {(tasks if path == "/AidboxTask" else workflows)(server, number) for number in range(10)}
    found: list[str] = []
    following: str | None = f"{path}?_count=1000"

    while following is not None:
        _, _, answer = server.send("GET", following)
        assert len(answer) < BOUND
        bundle = orjson.loads(answer)
        found += [one["resource"]["id"] for one in bundle["entry"]]
        following = next((link["url"] for link in bundle.get("link", ()) if link["relation"] == "next"), None)

    assert set(found) == made
    assert bundle["total"] == 10


def test_an_array_does_not_run_calls_after_its_answer_is_full(server: Server) -> None:
    server.define()
    for _ in range(4):
        server.create(params=PAYLOAD)
    begun = server.create(params={"n": 1})["id"]
    calls = [{"method": "awf.task/list", "params": {}}] * 500
    cancel = {"method": "awf.task/cancel", "params": {"id": begun}}

    size, answers = size_of(server, [{"method": "awf.task/status", "params": {"id": begun}}, *calls, cancel])

    assert size < 2 * BOUND
    assert "result" in answers[0]
    assert "result" in answers[1]
    assert answers[-2]["error"]["type"] == "answer-full"
    assert answers[-1]["error"]["type"] == "answer-full"
    assert server.task(begun)["status"] == "ready"


@pytest.mark.parametrize("short", [False, True])
def test_each_change_in_a_large_array_is_applied_and_answered_or_refused(server: Server, short: bool) -> None:
    server.define()
    ids = [server.create(params=PAYLOAD)["id"] for _ in range(60)]
    leases: list[dict[str, Any]] = []
    while len(leases) < 60:
        leases += [{"id": task["id"], "execId": task["execId"]} for task in server.poll(maxBatchSize=60, start=True)]
    asked = {"include-resource?": False} if short else {}

    size, answers = size_of(server, [{"method": "awf.task/success", "params": {**lease, **asked}} for lease in leases])

    done = {id for id in ids if server.task(id)["status"] == "done"}
    assert {lease["id"] for lease, answer in zip(leases, answers, strict=True) if "result" in answer} == done
    assert {answer["error"]["type"] for answer in answers if "error" in answer} == (set() if short else {"answer-full"})
    assert len(done) == 60 if short else 16 <= len(done) < 60
    assert size < MOST + 16 * 350_000


def test_activities_and_decisions_of_a_workflow_are_paged_in_order(server: Server) -> None:
    """Tasks and children come in the order of their creation, although each kind is paged separately."""
    decider, nested = Decider(server, "demo/order"), Decider(server, "demo/nested")
    server.define()
    id = decider.create(params=PAYLOAD)["id"]
    labels: list[str] = []
    for number in range(4):
        server.rpc("awf.workflow/signal", {"id": id, "name": "more", "payload": PAYLOAD})
        # The tasks of one decision are created before its children.
        labels += [f"a{number}", f"b{number}", f"c{number}"]
        begun = [
            decider.task(labels[-3], params=PAYLOAD),
            decider.child(labels[-1], nested.definition, params=PAYLOAD),
            decider.task(labels[-2], params={"n": number}),
        ]
        decider.decide(decider.decision(), *begun)

    shown: list[str] = []
    decisions: list[str] = []
    asked: dict[str, Any] = {"id": id, "include-activities?": True, "include-decisions?": True}
    while asked.keys() & {"include-activities?", "include-decisions?"}:
        size, answer = size_of(server, {"method": "awf.workflow/status", "params": asked})
        assert size < 2 * BOUND + 350_000
        told = answer["result"]
        shown += [one["label"] for one in told.get("activities", ())]
        decisions += [one["id"] for one in told.get("decisions", ())]
        asked = {"id": id}
        for part in ("activities", "decisions"):
            if f"{part}-next" in told:
                asked |= {f"include-{part}?": True, f"{part}-after": told[f"{part}-next"]}
    with Client(server.url) as client:
        whole = client.workflow(id, include_activities=True, include_decisions=True)

    assert shown == labels
    assert len(decisions) == len(set(decisions)) == 5
    assert [activity.label for activity in whole.activities or ()] == labels
    assert [decision.id for decision in whole.decisions or ()] == decisions
    assert _status(RpcClient(server.url, None), id, "activities")["activities"][-1]["label"] == labels[-1]
