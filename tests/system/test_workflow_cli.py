"""`fencepost workflow` against a running server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fencepost.cli.apply import apply
from fencepost.cli.workflow import workflow
from fencepost.errors import StartRefused
from fencepost_sdk import Event, Facts
from fencepost_sdk.actions import schedule_task
from fencepost_sdk.testing import History, assert_unchanged
from tests.fixtures.servers import Server
from tests.fixtures.workflows import Decider

Fencepost = Callable[..., str]


@pytest.fixture
def fencepost(server: Server) -> Fencepost:
    """Run `fencepost workflow` and return its output; a refusal raises StartRefused."""

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(workflow, arguments, env={"FENCEPOST_URL": server.url}, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


@pytest.fixture
def decider(server: Server) -> Decider:
    server.define()
    return Decider(server, "demo/order")


def test_start_begins_a_workflow_and_prints_its_id(server: Server, decider: Decider, fencepost: Fencepost) -> None:
    id = fencepost("start", "demo/order", "{customer: c-17, no: [1, 2]}", "--label", "for ada").strip()
    resource = decider.status(id)["resource"]
    assert (resource["label"], resource["params"]) == ("for ada", {"customer": "c-17", "no": [1, 2]})

    told = json.loads(fencepost("start", "demo/order", "--id", "one", "--execute-at", "2100-01-01", "--json"))
    assert (told["id"], told["status"]) == ("one", "created")
    assert fencepost("start", "demo/order", "--id", "one", "--execute-at", "2100-01-01") == "one\n"


def test_show_prints_the_tree_to_any_depth(server: Server, decider: Decider, fencepost: Fencepost) -> None:
    parent = Decider(server, "demo/parent")
    top = parent.create(id="top", label="the whole")
    parent.decide(parent.decision(), parent.child("order", "demo/order"), parent.task("picture"))
    decider.decide(decider.decision(), decider.task("small"), decider.task("large"))
    for task in server.poll(start=True, maxBatchSize=9):
        if task["label"] == "picture":
            server.rpc("awf.task/success", {"id": task["id"], "execId": task["execId"]})
        else:
            server.rpc("awf.task/release", {"id": task["id"], "execId": task["execId"]})

    assert fencepost("show", top["id"]).splitlines() == [
        "top  demo/parent  in-progress  (the whole)",
        "  picture  demo/resize  succeeded",
        "  order  demo/order  in-progress",
        "    small  demo/resize  ready",
        "    large  demo/resize  ready",
    ]
    tree = json.loads(fencepost("show", "top", "--json"))
    picture, order = tree["activities"]
    assert (tree["id"], picture["label"]) == ("top", "picture")
    assert [one["label"] for one in order["activities"]] == ["small", "large"]


def test_show_prints_the_message_of_a_failed_workflow(server: Server, decider: Decider, fencepost: Fencepost) -> None:
    decider.create(id="order-1")
    failing: dict[str, Any] = {"action": "awf.workflow.action/fail", "error": {"message": "out of stock"}}
    decider.decide(decider.decision(), failing)
    assert fencepost("show", "order-1") == "order-1  demo/order  failed  - out of stock\n"


def test_list_shows_matching_workflows_up_to_the_limit(server: Server, decider: Decider, fencepost: Fencepost) -> None:
    Decider(server, "demo/other").create(id="other")
    for number in range(3):
        decider.create(id=f"order-{number}", label=f"the {number}.")
    server.rpc("awf.workflow/cancel", {"id": "order-1"})
    assert fencepost("list", "--definition", "demo/order", "--status", "in-progress").splitlines() == [
        "order-2  demo/order  in-progress  (the 2.)",
        "order-0  demo/order  in-progress  (the 0.)",
    ]
    told = [json.loads(line) for line in fencepost("list", "--json", "--limit", "2").splitlines()]
    assert [one["id"] for one in told] == ["order-2", "order-1"]
    assert fencepost("list", "--outcome", "canceled", "--find", "ORDER") == "order-1  demo/order  canceled  (the 1.)\n"


def test_signal_and_cancel_reach_the_workflow(server: Server, decider: Decider, fencepost: Fencepost) -> None:
    decider.create(id="order-1")
    decider.decide(decider.decision())
    for _ in range(2):
        fencepost("signal", "order-1", "paid", "{by: ada}", "--signal-id", "payment-93")
    decision = decider.decision()
    assert decision["params"] == {
        "event": "awf.workflow.event/signal",
        "name": "paid",
        "payload": {"by": "ada"},
        "signal-id": "payment-93",
    }
    assert fencepost("cancel", "order-1") == "order-1  demo/order  canceled\n"
    with pytest.raises(StartRefused, match="workflow-has-been-done"):
        fencepost("signal", "order-1", "paid")


def test_an_exported_history_can_be_replayed_by_a_test(
    server: Server, decider: Decider, fencepost: Fencepost, tmp_path: Path
) -> None:
    decider.create(id="order-1", params={"n": 1})
    decider.decide(decider.decision(), decider.task("one", params={"n": 1}))
    file = tmp_path / "order-1.json"
    file.write_text(fencepost("export", "order-1"))

    def decide(workflow: Facts[Any], event: Event) -> Any:
        return schedule_task("demo/resize", "one", workflow.params)

    assert_unchanged(decide, History.load(file))


def test_invalid_params_and_unknown_workflows_are_refused_in_one_sentence(
    decider: Decider, fencepost: Fencepost
) -> None:
    with pytest.raises(StartRefused, match="PARAMS: "):
        fencepost("start", "demo/order", "{a: 1")
    with pytest.raises(StartRefused, match=r"invalid-params: .*\(at \$\.params\.params\)"):
        fencepost("start", "demo/order", "5")
    with pytest.raises(StartRefused, match="workflow-not-found"):
        fencepost("show", "nobody")


def test_apply_and_workflow_take_the_same_server_options(server: Server, tmp_path: Path) -> None:
    names = [{option.name for option in command.params} for command in (apply, *workflow.commands.values())]
    assert all({"url", "client"} <= each for each in names)
    file = tmp_path / "order.yaml"
    file.write_text("kind: workflow\nname: demo/order\n")
    result = CliRunner().invoke(apply, [str(file), "--url", server.url], catch_exceptions=False)
    assert result.stdout == "demo/order version 1\n"
