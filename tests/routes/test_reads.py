"""The REST reads of the vendor's clients, and the answers of unknown paths and of other verbs."""

from __future__ import annotations

import orjson
import pytest

from tests.fixtures.people import Desk
from tests.fixtures.servers import CallRefused, Server
from tests.fixtures.workflows import Decider


@pytest.fixture(autouse=True)
def definition(server: Server) -> None:
    server.define()


def test_a_search_with_a_count_of_zero_returns_the_total_alone(server: Server) -> None:
    server.started()
    server.create()
    Decider(server, "demo/order").create()

    for query, total in {
        "_count=0&.status=ready&definition-not=awf.workflow/decision-task": 1,
        "_count=0&.status=in-progress": 1,
        "_count=0&definition=demo/resize": 2,
        "_count=0&definition=awf.workflow/decision-task": 1,
        "_count=0&definition=demo/order": 0,
        "_count=0": 3,
    }.items():
        bundle = server.get(f"/AidboxTask?{query}")
        assert (bundle["resourceType"], bundle["type"], bundle["total"], bundle["entry"]) == (
            "Bundle",
            "searchset",
            total,
            [],
        ), query


def test_a_search_is_read_page_by_page(server: Server) -> None:
    ids = [server.create()["id"] for _ in range(5)]
    seen, path = [], "/AidboxTask?_count=2"
    while path:
        bundle = server.get(path)
        assert bundle["total"] == 5
        seen += [entry["resource"]["id"] for entry in bundle["entry"]]
        path = next((link["url"] for link in bundle.get("link", []) if link["relation"] == "next"), "")

    assert seen == ids[::-1]


def test_a_task_and_its_log_are_read_by_id(server: Server) -> None:
    lease = server.started()
    server.rpc("awf.task/success", {**lease, "result": {"a": 1}})

    assert server.get(f"/AidboxTask/{lease['id']}") == server.task(lease["id"])
    bundle = server.get(f"/AidboxTaskLog?subject={lease['id']}")
    assert [entry["resource"] for entry in bundle["entry"]] == server.log(lease["id"])
    first = server.get(f"/AidboxTaskLog?subject=AidboxTask/{lease['id']}&_count=2")
    rest = server.get(first["link"][0]["url"])
    assert len(first["entry"]) + len(rest["entry"]) == bundle["total"] == 3
    assert "link" not in rest


@pytest.mark.parametrize(
    ("path", "status", "type"),
    [
        ("/AidboxTask/unknown", 404, "task-not-found"),
        ("/AidboxTaskLog?subject=unknown", 404, "task-not-found"),
        ("/AidboxTaskLog", 404, "task-not-found"),
        ("/AidboxTask?_count=-1", 400, "invalid-params"),
        ("/AidboxTask?.status=sleeping", 400, "invalid-params"),
        ("/AidboxTask?stauts=ready", 400, "invalid-params"),
        ("/AidboxTask?_after=x", 400, "invalid-params"),
        ("/AidboxTask?definition=%00", 400, "invalid-params"),
        ("/AidboxTask/%00", 404, "task-not-found"),
        ("/nothing/here", 404, "not-found"),
    ],
)
def test_an_unknown_or_invalid_read_is_refused_with_its_error_type(
    server: Server, path: str, status: int, type: str
) -> None:
    with pytest.raises(CallRefused) as caught:
        server.get(path)

    assert (caught.value.status, caught.value.fault["type"]) == (status, type)


@pytest.mark.shows("machines/differs-ports")
def test_probes_and_the_api_description_need_no_credentials(server: Server) -> None:
    assert server.get("/healthz") == {"status": "ok"}
    assert server.get("/readyz") == {"status": "ok"}
    status, _, body = server.send("GET", "/openapi.yaml")
    assert (status, body.startswith(b"openapi")) == (200, True)


def test_a_verb_other_than_get_is_refused(server: Server) -> None:
    status, _, body = server.send("DELETE", "/AidboxTask")

    assert (status, orjson.loads(body)["error"]["type"]) == (405, "method-not-allowed")


def test_workflows_are_counted_searched_and_read(server: Server) -> None:
    decider = Decider(server, "demo/order")
    ids = [decider.create(id=f"order-{number}")["id"] for number in range(3)]
    decider.create(id="later", executeAt="2199-01-01T00:00:00Z")
    server.rpc("awf.workflow/cancel", {"id": ids[0]})

    assert server.get("/AidboxWorkflow?_count=0&.status=in-progress")["total"] == 2
    assert server.get("/AidboxWorkflow?_count=0&.status=created")["total"] == 1
    assert server.get("/AidboxWorkflow?_count=0&.outcome=canceled")["total"] == 1
    found = server.get("/AidboxWorkflow?_id=order-1,later")
    assert [entry["resource"]["id"] for entry in found["entry"]] == ["later", "order-1"]
    first = server.get("/AidboxWorkflow?_count=3")
    rest = server.get(first["link"][0]["url"])
    assert [entry["resource"]["id"] for bundle in (first, rest) for entry in bundle["entry"]] == ["later", *ids[::-1]]
    assert server.get("/AidboxWorkflow/order-1")["meta"]["versionId"] == "1"
    with pytest.raises(CallRefused) as caught:
        server.get("/AidboxWorkflow/nobody")
    assert (caught.value.status, caught.value.fault["type"]) == (404, "workflow-not-found")


def test_a_workflow_is_read_by_an_id_that_has_a_space(server: Server) -> None:
    Desk(server).begin("hire_ada 1")
    assert server.get("/AidboxWorkflow/hire_ada%201")["id"] == "hire_ada 1"
    log = server.get("/AidboxTaskLog?subject=AidboxWorkflow/hire_ada%201")
    assert log["total"] == len(log["entry"]) > 0
    with pytest.raises(CallRefused, match="workflow-not-found"):
        server.get("/AidboxWorkflow/hire_ada%202")
