"""`fencepost workflow`: starts, lists, shows, signals, cancels and exports workflows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import click
import orjson

from fencepost.cli.rpc_client import RpcClient, server_options
from fencepost.errors import StartRefused
from fencepost.notation import yaml
from fencepost.notation.text import BadText

_CHILD = "AidboxWorkflow"
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, one answer a line.")


@click.group()
def workflow() -> None:
    """Start, show, signal, cancel and export workflows."""


@workflow.command()
@click.argument("definition")
@click.argument("params", required=False)
@click.option(
    "--id", help="Id of the workflow; the same id with the same content starts it once.  [default: a new one]"
)
@click.option("--label", help="Label of the workflow, to find it by.")
@click.option("--execute-at", metavar="TIME", help="Start time, in ISO 8601.")
@server_options
@as_json
def start(
    client: RpcClient,
    definition: str,
    params: str | None,
    id: str | None,
    label: str | None,
    execute_at: str | None,
    as_json: bool,
) -> None:
    """Start a workflow of DEFINITION with PARAMS, an object in YAML or JSON; print its id."""
    options = {"id": id or str(uuid4()), "definition": definition, "label": label, "executeAt": execute_at}
    request = {name: value for name, value in options.items() if value is not None}
    if params is not None:
        request["params"] = _payload(params, "PARAMS")
    resource = client.call("awf.workflow/create-and-execute", request)["resource"]
    click.echo(orjson.dumps(resource).decode() if as_json else resource["id"])


@workflow.command("list")
@click.option("--definition", "definitions", multiple=True, help="Show only this definition; may be repeated.")
@click.option(
    "--status",
    multiple=True,
    type=click.Choice(["created", "in-progress", "done"]),
    help="Show only this status; may be repeated.",
)
@click.option(
    "--outcome",
    multiple=True,
    type=click.Choice(["succeeded", "failed", "canceled"]),
    help="Show only this outcome; may be repeated.",
)
@click.option("--find", metavar="TEXT", help="Show only workflows with this text in id, label, definition or params.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Maximum number of workflows.")
@server_options
@as_json
def list_(
    client: RpcClient,
    definitions: tuple[str, ...],
    status: tuple[str, ...],
    outcome: tuple[str, ...],
    find: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List workflows, the newest first."""
    wanted = {"includeDefinitions": definitions, "status": status, "outcome": outcome, "ilike": find}
    asked = {name: value for name, value in wanted.items() if value}
    for one in _pages(client, asked, limit):
        click.echo(orjson.dumps(one).decode() if as_json else f"{one['id']}  {_line(one)}")


@workflow.command()
@click.argument("id")
@server_options
@as_json
def show(client: RpcClient, id: str, as_json: bool) -> None:
    """Show workflow ID as a tree of its activities, to any depth."""
    tree = _tree(client, id)
    if as_json:
        click.echo(orjson.dumps(tree).decode())
        return
    for line in _lines(tree, 0):
        click.echo(line)


@workflow.command()
@click.argument("id")
@server_options
def export(client: RpcClient, id: str) -> None:
    """Print the history of workflow ID as JSON, for tests that replay a decider."""
    status = _status(client, id, "activities", "decisions")
    click.echo(orjson.dumps(status, option=orjson.OPT_INDENT_2).decode())


@workflow.command()
@click.argument("id")
@click.argument("name")
@click.argument("payload", required=False)
@click.option("--signal-id", metavar="TEXT", help="Id of the signal; a signal with the same id is accepted once.")
@server_options
@as_json
def signal(client: RpcClient, id: str, name: str, payload: str | None, signal_id: str | None, as_json: bool) -> None:
    """Send the live workflow ID the signal NAME with PAYLOAD, an object in YAML or JSON."""
    asked: dict[str, Any] = {"id": id, "name": name}
    if payload is not None:
        asked["payload"] = _payload(payload, "PAYLOAD")
    if signal_id is not None:
        asked["signal-id"] = signal_id
    _print(client.call("awf.workflow/signal", asked)["resource"], as_json=as_json)


@workflow.command()
@click.argument("id")
@server_options
@as_json
def cancel(client: RpcClient, id: str, as_json: bool) -> None:
    """Cancel the live workflow ID and everything that it has started."""
    _print(client.call("awf.workflow/cancel", {"id": id})["resource"], as_json=as_json)


def _print(resource: dict[str, Any], *, as_json: bool) -> None:
    click.echo(orjson.dumps(resource).decode() if as_json else f"{resource['id']}  {_line(resource)}")


def _payload(text: str, name: str) -> Any:
    try:
        return orjson.loads(yaml.to_json(text.encode()))
    except BadText as bad:
        raise StartRefused(f"{name}: {bad}") from None


def _pages(client: RpcClient, wanted: dict[str, Any], limit: int) -> Iterator[dict[str, Any]]:
    asked: dict[str, Any] = {"filter": wanted}
    while limit > 0:
        page = client.call("awf.workflow/list", {**asked, "limit": min(limit, 1000)})
        yield from page["resources"]
        limit -= len(page["resources"])
        if "next" not in page:
            return
        asked["after"] = page["next"]


def _status(client: RpcClient, id: str, *members: str) -> dict[str, Any]:
    """Return the status of a workflow with these members from all pages."""
    status: dict[str, Any] = client.call(
        "awf.workflow/status", {"id": id, **{f"include-{one}?": True for one in members}}
    )
    for member in members:
        while (following := status.pop(f"{member}-next", None)) is not None:
            asked = {"id": id, f"include-{member}?": True, f"{member}-after": following}
            page = client.call("awf.workflow/status", asked)
            status[member] += page[member]
            status |= {name: value for name, value in page.items() if name == f"{member}-next"}
    return status


def _tree(client: RpcClient, id: str) -> dict[str, Any]:
    """Return the status of a workflow with `activities`, which child workflows have too."""
    status = _status(client, id, "activities")
    activities = [_tree(client, one["id"]) if one["resourceType"] == _CHILD else one for one in status["activities"]]
    tree: dict[str, Any] = {**status["resource"], "activities": activities}
    return tree


def _lines(tree: dict[str, Any], depth: int) -> Iterator[str]:
    name = tree["id"] if depth == 0 else tree.get("label", tree["id"])
    yield f"{'  ' * depth}{name}  {_line(tree, labelled=depth == 0)}"
    for activity in tree.get("activities", []):
        yield from _lines(activity, depth + 1)


def _line(resource: dict[str, Any], *, labelled: bool = True) -> str:
    """Return the state of a workflow or a task as text."""
    words = [resource["definition"], resource.get("outcome") or resource["status"]]
    if labelled and "label" in resource:
        words.append(f"({resource['label']})")
    if resource.get("retryCount", 0) > 1:
        words.append(f"attempt {resource['retryCount']}")
    if resource.get("outcome") == "failed":
        reason = resource.get("error", {}).get("message") or resource.get("outcomeReason", {}).get("message")
        words.append(f"- {reason}")
    return "  ".join(words)
