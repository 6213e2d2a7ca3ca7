"""The messages as they were published: clients and server here are made of one text, and would agree on a wrong one."""

from __future__ import annotations

from typing import Any

import pytest

from fencepost.grpc.proto import template_2021_pb2, workflow_2021_pb2, workflow_pb2

_TYPES = {3: "int64", 5: "int32", 9: "string", 12: "bytes"}
_TIME = "google.protobuf.Timestamp"
_OF_WORKERS = {
    "WorkflowContextRequest": "1 worker_id string",
    "WorkflowContext": "1 workflow_id string, 2 current_worker string, 3 current_task string, 4 current_action string, "
    "5 current_action_index int64, 6 current_action_state State, 7 total_number_of_actions int64",
    "WorkflowActionsRequest": "1 workflow_id string",
    "WorkflowActionList": "1 action_list WorkflowAction*",
    "WorkflowAction": "1 task_name string, 2 name string, 3 image string, 4 timeout int64, 5 command string*, "
    "6 on_timeout string*, 7 on_failure string*, 8 worker_id string, 9 volumes string*, 10 environment string*, "
    "11 pid string",
    "WorkflowActionStatus": "1 workflow_id string, 2 task_name string, 3 action_name string, 4 action_status State, "
    f"5 seconds int64, 6 message string, 7 created_at {_TIME}, 8 worker_id string",
    "Empty": "",
}
_OF_WORKFLOWS = {
    **_OF_WORKERS,
    "WorkflowContextList": "1 workflow_contexts WorkflowContext*",
    "Workflow": f"1 id string, 2 template string, 3 hardware string, 4 state State, 5 created_at {_TIME}, "
    f"6 updated_at {_TIME}, 7 deleted_at {_TIME}, 8 data string",
    "CreateRequest": "1 template string, 2 hardware string",
    "CreateResponse": "1 id string",
    "GetRequest": "1 id string",
    "GetWorkflowDataRequest": "1 workflow_id string, 2 version int32",
    "GetWorkflowDataResponse": "1 data bytes, 2 version int32",
    "UpdateWorkflowDataRequest": "1 workflow_id string, 2 metadata bytes, 3 data bytes",
}
_OF_TEMPLATES = {
    "WorkflowTemplate": f"1 id string, 2 name string, 4 created_at {_TIME}, 5 updated_at {_TIME}, "
    f"6 deleted_at {_TIME}, 7 data string",
    "CreateResponse": "1 id string",
    "GetRequest": "1 id string, 2 name string",
    "ListRequest": "1 name string",
    "Empty": "",
}
_WORKERS = {
    "GetWorkflowContexts": "WorkflowContextRequest WorkflowContext*",
    "GetWorkflowActions": "WorkflowActionsRequest WorkflowActionList",
    "ReportActionStatus": "WorkflowActionStatus Empty",
}
_WORKFLOWS = {
    **_WORKERS,
    "CreateWorkflow": "CreateRequest CreateResponse",
    "GetWorkflow": "GetRequest Workflow",
    "DeleteWorkflow": "GetRequest Empty",
    "ListWorkflows": "Empty Workflow*",
    "GetWorkflowContext": "GetRequest WorkflowContext",
    "ShowWorkflowEvents": "GetRequest WorkflowActionStatus*",
    "GetWorkflowContextList": "WorkflowContextRequest WorkflowContextList",
    "GetWorkflowData": "GetWorkflowDataRequest GetWorkflowDataResponse",
    "GetWorkflowMetadata": "GetWorkflowDataRequest GetWorkflowDataResponse",
    "GetWorkflowDataVersion": "GetWorkflowDataRequest GetWorkflowDataResponse",
    "UpdateWorkflowData": "UpdateWorkflowDataRequest Empty",
}
_TEMPLATES = {
    "CreateTemplate": "WorkflowTemplate CreateResponse",
    "GetTemplate": "GetRequest WorkflowTemplate",
    "DeleteTemplate": "GetRequest Empty",
    "ListTemplates": "ListRequest WorkflowTemplate*",
    "UpdateTemplate": "WorkflowTemplate Empty",
}
_STATES = {"STATE_PENDING": 0, "STATE_RUNNING": 1, "STATE_FAILED": 2, "STATE_TIMEOUT": 3, "STATE_SUCCESS": 4}
_OLD = "github.com.tinkerbell.tink.protos"
all_packages = pytest.mark.parametrize(
    ("module", "service", "messages", "methods"),
    [
        (workflow_pb2, "proto.WorkflowService", _OF_WORKERS, _WORKERS),
        (workflow_2021_pb2, f"{_OLD}.workflow.WorkflowService", _OF_WORKFLOWS, _WORKFLOWS),
        (template_2021_pb2, f"{_OLD}.template.TemplateService", _OF_TEMPLATES, _TEMPLATES),
    ],
)


def _field(field: Any) -> str:
    named = field.message_type or field.enum_type
    # All but the times are of the package itself.
    type = named.full_name.removeprefix(f"{field.file.package}.") if named else _TYPES[field.type]
    return f"{field.number} {field.name} {type}{'*' * field.is_repeated}"


@all_packages
def test_names_numbers_and_types_are_those_that_were_published(
    module: Any, service: str, messages: dict[str, str], methods: dict[str, str]
) -> None:
    package = module.DESCRIPTOR
    found = {name: ", ".join(map(_field, one.fields)) for name, one in package.message_types_by_name.items()}
    assert found == messages
    (offered,) = package.services_by_name.values()
    assert offered.full_name == service
    shapes = {
        one.name: f"{one.input_type.name} {one.output_type.name}{'*' * one.server_streaming}" for one in offered.methods
    }
    assert not any(one.client_streaming for one in offered.methods)
    assert shapes == methods
    for states in package.enum_types_by_name.values():
        assert {one.name: one.number for one in states.values} == _STATES


def test_a_template_is_asked_for_by_one_of_its_two_names() -> None:
    messages = template_2021_pb2.DESCRIPTOR.message_types_by_name
    either = {
        name: [[field.name for field in one.fields] for one in message.oneofs] for name, message in messages.items()
    }
    assert {name: fields for name, fields in either.items() if fields} == {
        "GetRequest": [["id", "name"]],
        "ListRequest": [["name"]],
    }
