"""Any message is accepted or refused; none causes an internal error."""

from __future__ import annotations

from typing import Any

import grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fencepost.vocabularies.machines.grpc.proto import (
    template_2021_pb2,
    template_2021_pb2_grpc,
    workflow_2021_pb2,
    workflow_2021_pb2_grpc,
)
from tests.fixtures.machines import Gate, template_of

SERVICES = [(workflow_2021_pb2, "WorkflowService"), (template_2021_pb2, "TemplateService")]
NOT_OURS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.FAILED_PRECONDITION,
}
METHODS: list[tuple[int, Any]] = [
    (place, method)
    for place, (names, service) in enumerate(SERVICES)
    for method in names.DESCRIPTOR.services_by_name[service].methods
]
_TEXT = st.text(max_size=20) | st.sampled_from(["\0", "task-0", "wipe", "hello", "x" * 300, "{}", '{"a": 1e400}', "*"])
_BYTES = st.binary(max_size=20) | st.sampled_from([b"{}", b'{"a":"\\u0000"}', b"[" * 100, b'"\\ud800"', b"1e400"])
_KINDS = {"string": _TEXT, "bytes": _BYTES, "int": st.integers(-(2**31), 2**31 - 1)}


@given(st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def _send(gate: Gate, ids: list[str], data: st.DataObject) -> None:
    place, method = data.draw(st.sampled_from(METHODS))
    members = {}
    for field in method.input_type.fields:
        if field.message_type is None and data.draw(st.booleans()):
            kind = {9: "string", 12: "bytes"}.get(field.type, "int")
            wanted = _KINDS[kind] | st.sampled_from(ids) if kind == "string" else _KINDS[kind]
            members[field.name] = data.draw(wanted)
    message = getattr(SERVICES[place][0], method.input_type.name)(**members)
    channel = grpc.insecure_channel(f"127.0.0.1:{gate.port}")
    stubs: Any = (workflow_2021_pb2_grpc.WorkflowServiceStub, template_2021_pb2_grpc.TemplateServiceStub)[place]
    refused = None
    with channel:
        try:
            answer = getattr(stubs(channel), method.name)(message, timeout=20)
            if method.server_streaming:
                list(answer)
        except grpc.RpcError as error:
            refused = error.code()
    assert refused is None or refused in NOT_OURS, (method.name, members)


def test_no_message_causes_an_internal_error(gate: Gate) -> None:
    gate.declare(template_of(("{{.hello}}", ["wipe"])), "machine/hello")
    id = gate.create("machine/hello", {"hello": "w"})
    (template,) = gate.machine(is_old=True).template("ListTemplates")
    _send(gate, [id, template.id, "w"])
