"""The messages as published. The clients here use our .proto files too, so they would not notice an error in them."""

from __future__ import annotations

from typing import Any

import pytest

from fencepost.vocabularies.machines.grpc.proto import (
    action_2025_pb2,
    hardware_2021_pb2,
    template_2021_pb2,
    workflow_2021_pb2,
    workflow_pb2,
)

_TYPES = {3: "int64", 5: "int32", 8: "bool", 9: "string", 12: "bytes", 13: "uint32"}
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
_OF_AGENTS = {
    "ActionRequest": "1 agent_id string, 2 agent_attributes AgentAttributes",
    "AgentAttributes": "1 cpu CPU, 2 memory Memory, 3 block Block*, 4 network Network*, 5 pci PCI*, 6 gpu GPU*, "
    "7 chassis Chassis, 8 bios BIOS, 9 baseboard Baseboard, 10 product Product",
    "CPU": "1 total_cores uint32, 2 total_threads uint32, 3 processors Processor*",
    "Processor": "1 id uint32, 2 cores uint32, 3 threads uint32, 4 vendor string, 5 model string, "
    "6 capabilities string*",
    "Memory": "1 total string, 2 usable string",
    "Block": "1 name string, 2 controller_type string, 3 drive_type string, 4 size string, "
    "5 physical_block_size string, 6 vendor string, 7 model string, 8 wwn string, 9 serial_number string",
    "Network": "1 name string, 2 mac string, 3 speed string, 4 enabled_capabilities string*",
    "PCI": "1 vendor string, 2 product string, 3 class string, 4 driver string",
    "GPU": "1 vendor string, 2 product string, 3 class string, 4 driver string",
    "Chassis": "1 serial string, 2 vendor string",
    "BIOS": "1 vendor string, 2 version string, 3 release_date string",
    "Baseboard": "1 vendor string, 2 product string, 3 version string, 4 serial_number string",
    "Product": "1 name string, 2 vendor string, 3 serial_number string",
    "ActionResponse": "1 workflow_id string, 2 task_id string, 3 agent_id string, 4 action_id string, 5 name string, "
    "6 image string, 7 timeout int64, 8 command string*, 9 volumes string*, 10 environment string*, 11 pid string, "
    "12 namespaces Namespaces",
    "Namespaces": "1 network string, 2 pid string",
    "ActionStatusRequest": "1 workflow_id string, 2 agent_id string, 3 task_id string, 4 action_id string, "
    f"5 action_name string, 6 action_state ActionStatusRequest.StateType, 7 execution_start {_TIME}, "
    f"8 execution_stop {_TIME}, 9 execution_duration string, 10 message ActionMessage",
    "ActionMessage": "1 message string",
    "ActionStatusResponse": "",
}
_OF_HARDWARE = {
    "PushRequest": "1 data Hardware",
    "Empty": "",
    "GetRequest": "1 mac string, 2 ip string, 3 id string",
    "DeleteRequest": "1 id string",
    "Hardware": "6 network Hardware.Network, 7 id string, 8 version int64, 9 metadata string",
}
_IN_HARDWARE = {
    "DHCP": "1 mac string, 3 hostname string, 4 lease_time int64, 5 name_servers string*, 6 time_servers string*, "
    "8 arch string, 9 uefi bool, 10 iface_name string, 11 ip Hardware.DHCP.IP",
    "DHCP.IP": "1 address string, 2 netmask string, 3 gateway string, 4 family int64",
    "Netboot": "1 allow_pxe bool, 2 allow_workflow bool, 3 ipxe Hardware.Netboot.IPXE, 5 osie Hardware.Netboot.Osie",
    "Netboot.IPXE": "1 url string, 2 contents string",
    "Netboot.Osie": "1 base_url string, 2 kernel string, 3 initrd string",
    "Network": "3 interfaces Hardware.Network.Interface*",
    "Network.Interface": "1 dhcp Hardware.DHCP, 2 netboot Hardware.Netboot",
}
_WORKERS = {
    "GetWorkflowContexts": "WorkflowContextRequest WorkflowContext*",
    "GetWorkflowActions": "WorkflowActionsRequest WorkflowActionList",
    "ReportActionStatus": "WorkflowActionStatus Empty",
}
_AGENTS = {**_WORKERS, "GetAction": "ActionRequest ActionResponse"}
_HARDWARE = {
    "Push": "PushRequest Empty",
    "ByMAC": "GetRequest Hardware",
    "ByIP": "GetRequest Hardware",
    "ByID": "GetRequest Hardware",
    "All": "Empty Hardware*",
    "DeprecatedWatch": "GetRequest Hardware*",
    "Delete": "DeleteRequest Empty",
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
        (workflow_pb2, "proto.WorkflowService", _OF_WORKERS, _AGENTS),
        (workflow_2021_pb2, f"{_OLD}.workflow.WorkflowService", _OF_WORKFLOWS, _WORKFLOWS),
        (template_2021_pb2, f"{_OLD}.template.TemplateService", _OF_TEMPLATES, _TEMPLATES),
        (hardware_2021_pb2, f"{_OLD}.hardware.HardwareService", _OF_HARDWARE, _HARDWARE),
    ],
)


def _field(field: Any) -> str:
    named = field.message_type or field.enum_type
    # All types except timestamps belong to the package itself.
    type = named.full_name.removeprefix(f"{field.file.package}.") if named else _TYPES[field.type]
    return f"{field.number} {field.name} {type}{'*' * field.is_repeated}"


@pytest.mark.shows("machines/messages")
@all_packages
def test_messages_have_the_published_names_numbers_and_types(
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


@pytest.mark.shows("machines/template-requests")
def test_a_template_request_has_either_an_id_or_a_name() -> None:
    messages = template_2021_pb2.DESCRIPTOR.message_types_by_name
    either = {
        name: [[field.name for field in one.fields] for one in message.oneofs] for name, message in messages.items()
    }
    assert {name: fields for name, fields in either.items() if fields} == {
        "GetRequest": [["id", "name"]],
        "ListRequest": [["name"]],
    }


@pytest.mark.shows("machines/action-states", "machines/agent-messages")
def test_agent_messages_have_the_published_names_numbers_and_types() -> None:
    package = action_2025_pb2.DESCRIPTOR
    found = {name: ", ".join(map(_field, one.fields)) for name, one in package.message_types_by_name.items()}
    assert (package.package, found) == ("proto", _OF_AGENTS)
    (states,) = package.message_types_by_name["ActionStatusRequest"].enum_types
    names = ["UNSPECIFIED", "PENDING", "RUNNING", "FAILED", "TIMEOUT", "SUCCESS"]
    assert [(one.name, one.number) for one in states.values] == [(name, number) for number, name in enumerate(names)]


@pytest.mark.shows("machines/hardware-messages")
def test_hardware_messages_have_the_published_fields() -> None:
    def parts(message: Any, within: str) -> dict[str, str]:
        inner = {f"{within}{one.name}": one for one in message.nested_types}
        found = {name: ", ".join(map(_field, one.fields)) for name, one in inner.items()}
        for name, one in inner.items():
            found |= parts(one, f"{name}.")
        return found

    assert parts(hardware_2021_pb2.DESCRIPTOR.message_types_by_name["Hardware"], "") == _IN_HARDWARE
