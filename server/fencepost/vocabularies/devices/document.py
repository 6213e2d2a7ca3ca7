"""Device workflows: documents that say what a device does, step by step, and what a run of one begins with."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.domain.definition import Beginning, Decided, Name
from fencepost.domain.ids import ChosenId
from fencepost.domain.limits import LONGEST_MS
from fencepost.domain.payload import object_text
from fencepost.domain.validation import refusal_of_struct
from fencepost.errors import invalid_params

# A device's name is the second part of the name of its tasks' definition. Devices call it an id, which may be a number.
DeviceName = (
    Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,100}\Z", description="1 to 100 letters, digits, `_`, `.` or `-`")]
    | Annotated[int, Meta(ge=0, le=2**63 - 1)]
)
Action = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_.-]{1,100}\Z",
        description="1 to 100 letters, digits, `_`, `.` or `-`, such as `SLAM_NAVIGATION`",
    ),
]
MAX_STEPS = 1000
# What tasks of a device are of, so that an ordinary worker that polls for them is that device; and the key of its runs.
DEVICE_PREFIX = "device/"


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """One thing to do: an action of the device, or a workflow of whatever kind that runs meanwhile."""

    action: Action | UnsetType = UNSET
    workflow: Name | UnsetType = UNSET
    payload: Annotated[Raw, Meta(extra_json_schema={"type": "object"})] | UnsetType = UNSET

    @property
    def content(self) -> bytes:
        """The payload as JSON text."""
        return b"{}" if self.payload is UNSET else bytes(self.payload)


class RunParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What a run begins with: on which device, and what is put into the payload of its first step."""

    device: DeviceName | None = None
    payload: Raw | UnsetType = UNSET


class DeviceWorkflow(
    Decided,
    frozen=True,
    forbid_unknown_fields=True,
    rename="camel",
    tag_field="kind",
    tag="device-workflow",
    kw_only=True,
):
    """A document of `kind: device-workflow`."""

    kind: ClassVar[str] = "device-workflow"
    device: Annotated[DeviceName, Meta(description="where it runs unless a run says otherwise")] | None = None
    steps: Annotated[list[Step], Meta(min_length=1, max_length=MAX_STEPS)]
    silence: (
        Annotated[int, Meta(ge=1, le=LONGEST_MS, description="ms that a started task may go without a sign of life")]
        | UnsetType
    ) = UNSET

    def compile(self) -> None:
        """Refuse what is no step, and a name that a path could not tell from a list of runs."""
        if self.name.endswith("/runs"):
            raise invalid_params("the name of a device workflow cannot end with `/runs`", "$.name")
        for number, step in enumerate(self.steps):
            at = f"$.steps[{number}]"
            if (step.action is UNSET) == (step.workflow is UNSET):
                raise invalid_params("exactly one of 'action' and 'workflow' is needed", f"{at}.action")
            if step.payload is not UNSET and object_text(step.payload, f"{at}.payload") is None:
                raise invalid_params("Expected `object`", f"{at}.payload")

    def begin(self, params: bytes | None) -> Beginning:
        """Check what a run begins with; while it is live, no other one of its device begins."""
        return Beginning(DEVICE_PREFIX + self.device_of(parse_run_params(params)))

    def device_of(self, params: RunParams) -> str:
        """Return the device of a run; raise Refusal when nobody names one."""
        device = self.device if params.device is None else params.device
        if device is None:
            raise invalid_params(f"{self.name!r} names no device, so that a run has to", "$.params.device")
        return str(device)


def parse_run_params(params: bytes | None) -> RunParams:
    """Return what a run begins with; raise Refusal with paths from the call."""
    try:
        read = _params.decode(params or b"{}")
    except msgspec.ValidationError as error:
        fault = refusal_of_struct(str(error), RunParams)
        raise invalid_params(fault.message, "$.params" + (fault.at or "$")[1:]) from None
    object_text(read.payload, "$.params.payload")
    return read


class RunBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What who asks for a run says of it; devices and their clients have three spellings for the device."""

    id: ChosenId | None = None
    device: DeviceName | None = None
    device_id: DeviceName | None = None
    device_snake_id: DeviceName | None = msgspec.field(name="device_id", default=None)
    payload: Raw | UnsetType = UNSET

    @property
    def params(self) -> bytes:
        """What the run begins with, as JSON text."""
        named = [name for name in (self.device, self.device_id, self.device_snake_id) if name is not None]
        return encode_run_params(named[0] if named else None, self.payload)


def parse_run_body(body: bytes) -> RunBody:
    """Return what is asked for; raise Refusal that names the member at fault."""
    try:
        read = _body.decode(body)
    except msgspec.ValidationError as error:
        raise refusal_of_struct(str(error), RunBody) from None
    object_text(read.payload, "$.payload")
    return read


def encode_run_params(device: str | int | None, payload: Raw | UnsetType) -> bytes:
    """Return what a run begins with, as JSON text."""
    said = {} if device is None else {"device": device}
    return msgspec.json.encode(said if payload is UNSET else {**said, "payload": payload})


_params = msgspec.json.Decoder(RunParams)
_body = msgspec.json.Decoder(RunBody)
