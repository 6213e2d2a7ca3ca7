"""The interface of vocabularies: a server runs without any of them, and with one that the core has never seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response

from fencepost.domain.actions import AnyAction, CompleteWorkflow
from fencepost.domain.decider import Event, Facts
from fencepost.domain.definition import Decided
from fencepost.domain.workflow import Workflow
from fencepost.engine.context import Context
from fencepost.engine.workflows import NewWorkflow
from fencepost.errors import Kind, Refusal
from fencepost.http.routes import Routes
from fencepost.rpc.registry import Registry
from fencepost.vocabularies.all import ALL
from fencepost.vocabularies.plugin import Core, Running, Vocabulary, surface_of
from tests.fixtures.servers import running_server
from tests.fixtures.waiting import until
from tests.house import sources

# A definition that another server on the database, one that has the vocabulary, has stored.
STORED = """
insert into fencepost.definitions
select (jsonb_populate_record(d, jsonb_build_object(
    'name', 'demo/foreign', 'kind', foreign_kind,
    'document', jsonb_build_object('kind', foreign_kind, 'name', 'demo/foreign')
))).* from fencepost.definitions d, (values ('%s')) v(foreign_kind) where d.name = 'demo/resize'
"""


@pytest.mark.parametrize("left_out", ALL, ids=lambda vocabulary: vocabulary.name)
def test_a_server_without_a_vocabulary_runs_everything_else(database: str, left_out: Vocabulary) -> None:
    rest = [vocabulary for vocabulary in ALL if vocabulary is not left_out]
    with running_server(database, vocabularies=rest) as server:
        server.define()
        task = server.started()
        server.rpc("awf.task/success", {**task, "result": {}})
        assert server.task(task["id"])["outcome"] == "succeeded"
        for method in left_out.methods[0].methods:
            assert server.refused(method)[:2] == (404, "method-not-found")
        kind = left_out.documents[0].kind
        assert server.refused("awf.definition/put", {"kind": kind, "name": "demo/x"})[:2] == (400, "invalid-params")
        server.query(STORED % kind)
        assert server.rpc("awf.definition/get", {"name": "demo/foreign"})["resource"]["kind"] == kind
        listed = server.rpc("awf.definition/list")["resources"]
        assert {"demo/foreign", "demo/resize"} <= {one["name"] for one in listed}
        begun = server.refused("awf.workflow/create-and-execute", {"definition": "demo/foreign"})
        assert begun == (400, "invalid-params", "$.params.definition")


@pytest.mark.parametrize("left_out", ALL, ids=lambda vocabulary: vocabulary.name)
def test_leaving_out_a_vocabulary_removes_only_its_own_methods_routes_and_errors(left_out: Vocabulary) -> None:
    whole, part = surface_of(ALL), surface_of(vocabulary for vocabulary in ALL if vocabulary is not left_out)
    own = {name for methods in left_out.methods for name in methods.methods}
    assert whole.methods.methods.keys() - part.methods.methods.keys() == own
    assert set(whole.routes) - set(part.routes) == set(left_out.routes)
    assert set(whole.catalogue) - set(part.catalogue) == set(left_out.errors)


def test_the_core_names_no_statement_of_a_vocabulary() -> None:
    # The folders of sql/queries have the names of the vocabularies.
    own = [f'"{vocabulary.name}/' for vocabulary in ALL]
    core = [source for source in sources.server() if not source.path.startswith("server/fencepost/vocabularies/")]
    assert core
    assert [source.path for source in core if any(name in source.text for name in own)] == []


# A vocabulary in under sixty lines.
class Bell(Decided, frozen=True, forbid_unknown_fields=True, rename="camel", tag_field="kind", tag="bell"):
    """A workflow that ends with a sound."""

    kind: ClassVar[str] = "bell"
    sound: str


class Ring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The name of a bell in params, the id of its workflow in results."""

    bell: str


class Bells:
    """The service."""

    def __init__(self, core: Core) -> None:
        self._engine = core.engine
        self.rung = 0

    async def ring(self, name: str, caller: str) -> str:
        """Begin a workflow and return its id."""
        if not isinstance((await self._engine.definitions.newest(name)).document, Bell):
            raise Refusal(BELL_NOT_FOUND, field="bell", name=name)
        self.rung += 1
        (workflow,) = await self._engine.workflows.create([NewWorkflow(name, None, None, None, None, caller)])
        assert isinstance(workflow, Workflow)
        return workflow.id


BELL_NOT_FOUND = Kind("bell-not-found", 404, "there is no bell {name!r}")
bells = Registry()
bell_routes = Routes()


@bells.method("test.bell/ring", example={"bell": "demo/bell"})
async def ring(context: Context, params: Ring) -> Ring:
    """Ring a bell."""
    return Ring(await context.of(Bells).ring(params.bell, context.caller))


@bell_routes.route("GET", "/bells")
async def count_bells(context: Context, _: Request) -> Response:
    """Return the number of bells that rang."""
    return Response(str(context.of(Bells).rung))


def decide(facts: Facts, event: Event) -> Sequence[AnyAction]:
    """End with the sound."""
    assert isinstance(facts.document, Bell)
    return [CompleteWorkflow(result=msgspec.Raw(msgspec.json.encode({"sound": facts.document.sound})))]


def start(core: Core) -> Running:
    """Build the vocabulary."""
    return Running(services=[Bells(core)])


DECIDERS = {Bell.kind: decide}
BELLS = Vocabulary(
    name="bells",
    documents=[Bell],
    deciders=lambda _: DECIDERS,
    errors=[BELL_NOT_FOUND],
    methods=[bells],
    routes=[bell_routes],
    start=start,
)


def test_a_vocabulary_unknown_to_the_core_is_served(database: str) -> None:
    with running_server(database, vocabularies=(*ALL, BELLS)) as server:
        server.define()
        assert server.refused("test.bell/ring", {"bell": "demo/resize"}) == (404, "bell-not-found", "$.params.bell")
        server.rpc("awf.definition/put", {"kind": "bell", "name": "demo/bell", "sound": "ding"})
        id = server.rpc("test.bell/ring", {"bell": "demo/bell"})["bell"]
        until(lambda: server.rpc("awf.workflow/status", {"id": id})["resource"]["status"] == "done")
        assert server.rpc("awf.workflow/status", {"id": id})["resource"]["result"] == {"sound": "ding"}
        assert server.send("GET", "/bells")[2] == b"1"
