"""The gRPC service of hardware records, as clients of 2021 and 2022 use it."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fencepost.vocabularies.machines.grpc.hardware_messages import fill_message
from fencepost.vocabularies.machines.grpc.proto import hardware_2021_pb2
from tests.fixtures.machines import Gate, refused, template_of

NAMES: Any = hardware_2021_pb2
ARGUMENT, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
MAC, IP = "52:54:00:12:34:56", "192.168.1.5"
RECORD: dict[str, Any] = {
    "id": "0eba0bf8-3772-4b4a-ab9f-6ebe93b90a94",
    "version": 3,
    "metadata": '{"facility": {"code": "lab"}}',
    "network": {
        "interfaces": [
            {
                "dhcp": {
                    "mac": MAC,
                    "hostname": "rack-7",
                    "lease_time": 86400,
                    "name_servers": ["1.1.1.1", "8.8.8.8"],
                    "arch": "x86_64",
                    "uefi": True,
                    "ip": {"address": IP, "netmask": "255.255.255.0", "gateway": "192.168.1.1"},
                },
                "netboot": {"allow_pxe": True, "allow_workflow": True, "ipxe": {"url": "http://192.168.1.1/x.ipxe"}},
            },
            {"dhcp": {"mac": "52:54:00:12:34:57"}},
        ]
    },
}
ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=5),
    st.lists,
    max_leaves=4,
)


@pytest.fixture
def hardware(gate: Gate) -> Any:
    """A client of the hardware service."""
    return gate.hardware()


def push(hardware: Any, **members: Any) -> None:
    hardware.Push(NAMES.PushRequest(data=NAMES.Hardware(**members)), timeout=20)


@pytest.mark.shows("machines/find")
def test_a_hardware_record_is_found_by_id_and_addresses(gate: Gate, hardware: Any) -> None:
    push(hardware, **RECORD)
    message = NAMES.Hardware(**RECORD)
    assert hardware.ByID(NAMES.GetRequest(id=RECORD["id"]), timeout=20) == message
    for mac in (MAC, MAC.upper(), "52:54:00:12:34:57"):
        assert hardware.ByMAC(NAMES.GetRequest(mac=mac), timeout=20) == message
    assert hardware.ByIP(NAMES.GetRequest(ip=IP), timeout=20) == message
    assert gate.server.rpc("awf.hardware/get", {"id": RECORD["id"]})["resource"]["hardware"] == RECORD


@pytest.mark.shows("machines/all")
def test_all_streams_the_hardware_records_by_id(gate: Gate, hardware: Any) -> None:
    assert list(hardware.All(NAMES.Empty(), timeout=20)) == []
    for number in range(3):
        gate.server.rpc("awf.hardware/push", {"hardware": {"id": f"hw-{number}"}})
    assert [one.id for one in hardware.All(NAMES.Empty(), timeout=20)] == ["hw-0", "hw-1", "hw-2"]


@pytest.mark.shows("machines/push")
def test_a_push_replaces_the_record_with_the_same_id(hardware: Any) -> None:
    push(hardware, **RECORD)
    push(hardware, id=RECORD["id"], metadata="{}")
    found = hardware.ByID(NAMES.GetRequest(id=RECORD["id"]), timeout=20)
    assert (found.metadata, found.HasField("network")) == ("{}", False)
    assert refused(hardware.ByMAC, NAMES.GetRequest(mac=MAC), timeout=20)[0] == MISSING


@pytest.mark.shows("machines/delete-hardware")
def test_a_deleted_hardware_record_is_not_found(hardware: Any) -> None:
    push(hardware, **RECORD)
    hardware.Delete(NAMES.DeleteRequest(id=RECORD["id"]), timeout=20)
    for method, key in (("ByID", {"id": RECORD["id"]}), ("ByMAC", {"mac": MAC}), ("ByIP", {"ip": IP})):
        assert refused(getattr(hardware, method), NAMES.GetRequest(**key), timeout=20)[0] == MISSING
    assert refused(hardware.Delete, NAMES.DeleteRequest(id=RECORD["id"]), timeout=20)[0] == MISSING


def test_a_worker_is_known_by_the_id_of_its_hardware_record(gate: Gate, hardware: Any) -> None:
    push(hardware, **RECORD)
    gate.declare(template_of((MAC.upper(), ["wipe"])))
    id = gate.create()
    (context,) = gate.machine(is_old=True).contexts(RECORD["id"])
    assert (context.workflow_id, context.current_worker) == (id, RECORD["id"])


@pytest.mark.shows("machines/push", "machines/differs-hardware-errors")
def test_an_invalid_hardware_record_is_refused(hardware: Any) -> None:
    def refusal_of(**members: Any) -> tuple[grpc.StatusCode, str]:
        return refused(push, hardware, **members)

    assert refusal_of(metadata="{}") == (ARGUMENT, "id must be set to a UUID, got id: ")
    assert refused(hardware.Push, NAMES.PushRequest(), timeout=20)[0] == ARGUMENT
    assert refusal_of(id="a\0")[0] == ARGUMENT
    assert refusal_of(id="x" * 201)[0] == ARGUMENT
    assert refusal_of(id="a", metadata="x" * (1 << 20)) == (ARGUMENT, "invalid hardware: longer than 1048576 bytes")
    mac = {"interfaces": [{"dhcp": {"mac": "no address"}}]}
    code, text = refusal_of(id="a", network=mac)
    assert (code, "must be a MAC address" in text) == (ARGUMENT, True)
    push(hardware, **RECORD)
    assert refusal_of(id="other", network=RECORD["network"])[0] == grpc.StatusCode.ALREADY_EXISTS
    for method, at in (("ByID", "id"), ("ByMAC", "mac"), ("ByIP", "ip")):
        assert refused(getattr(hardware, method), NAMES.GetRequest(), timeout=20) == (ARGUMENT, f"invalid {at}")
        assert refused(getattr(hardware, method), NAMES.GetRequest(**{at: "\0"}), timeout=20)[0] == ARGUMENT
    assert refused(hardware.ByMAC, NAMES.GetRequest(mac="rack-7"), timeout=20)[0] == MISSING


@pytest.mark.shows("machines/differs-watch")
def test_deprecated_watch_is_unimplemented(hardware: Any) -> None:
    code, message = refused(list, hardware.DeprecatedWatch(NAMES.GetRequest(id="a"), timeout=20))
    assert (code, "ByID" in message) == (grpc.StatusCode.UNIMPLEMENTED, True)


@pytest.mark.shows("machines/hardware-messages")
def test_members_without_a_field_are_left_out_of_messages(gate: Gate, hardware: Any) -> None:
    record = {
        "id": "hw-1",
        "version": "three",
        "metadata": {"facility": "lab"},
        "rack": 7,
        "network": {"interfaces": [{"dhcp": {"mac": MAC, "uefi": "yes", "lease_time": 1.5, "name_servers": ["a", 1]}}]},
    }
    gate.server.rpc("awf.hardware/push", {"hardware": record})
    found = hardware.ByMAC(NAMES.GetRequest(mac=MAC), timeout=20)
    dhcp = {"mac": MAC, "name_servers": ["a"]}
    expected = {"id": "hw-1", "metadata": '{"facility":"lab"}', "network": {"interfaces": [{"dhcp": dhcp}]}}
    assert found == NAMES.Hardware(**expected)


@given(
    st.dictionaries(
        st.sampled_from(["id", "version", "metadata", "network", "x"]),
        ANY
        | st.fixed_dictionaries({"interfaces": st.lists(st.dictionaries(st.sampled_from(["dhcp", "netboot"]), ANY))}),
    )
)
def test_any_hardware_record_fits_into_a_message(record: dict[str, Any]) -> None:
    fill_message(NAMES.Hardware(), record).SerializeToString()
