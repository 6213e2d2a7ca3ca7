"""Documents of `kind: device-workflow`: the steps that a device performs, and the params of a run."""

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

# The second segment of the definition name of a device's tasks. Devices send it as an id, which may be a number.
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
# Prefix of the definition name of a device's tasks: an ordinary worker that polls for that name acts as the device.
# With the name of the device it is also the key that allows one live run for each device.
DEVICE_PREFIX = "device/"


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """One step: an action of the device, or a workflow of any kind."""

    action: Action | UnsetType = UNSET
    workflow: Name | UnsetType = UNSET
    payload: Annotated[Raw, Meta(extra_json_schema={"type": "object"})] | UnsetType = UNSET

    @property
    def content(self) -> bytes:
        """The payload as JSON text, `{}` without one."""
        return b"{}" if self.payload is UNSET else bytes(self.payload)


class RunParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Params of a run: the device, and members for the payload of the first step."""

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
    device: Annotated[DeviceName, Meta(description="default device of its runs")] | None = None
    steps: Annotated[list[Step], Meta(min_length=1, max_length=MAX_STEPS)]
    silence: (
        Annotated[int, Meta(ge=1, le=LONGEST_MS, description="ms that a started task may go without a heartbeat")]
        | UnsetType
    ) = UNSET

    def compile(self) -> None:
        """Check name and steps; raise Refusal (`invalid-params`). A name ending in `/runs` is ambiguous in a path."""
        if self.name.endswith("/runs"):
            raise invalid_params("the name of a device workflow cannot end with `/runs`", "name")
        for number, step in enumerate(self.steps):
            field = f"steps[{number}]"
            if (step.action is UNSET) == (step.workflow is UNSET):
                raise invalid_params("exactly one of 'action' and 'workflow' is needed", f"{field}.action")
            if step.payload is not UNSET and object_text(step.payload, f"{field}.payload") is None:
                raise invalid_params("Expected `object`", f"{field}.payload")

    def begin(self, params: bytes | None) -> Beginning:
        """Check the params of a run. The key of its device is unique among live runs, so that one runs at a time."""
        return Beginning(DEVICE_PREFIX + self.device_of(parse_run_params(params)))

    def device_of(self, params: RunParams) -> str:
        """Return the device of a run; raise Refusal (`invalid-params`) when neither run nor document names one."""
        device = self.device if params.device is None else params.device
        if device is None:
            raise invalid_params(f"{self.name!r} names no device; the run has to name one", "params.device")
        return str(device)


def parse_run_params(params: bytes | None) -> RunParams:
    """Parse the params of a run (JSON text); raise Refusal (`invalid-params`) with fields of `params`."""
    try:
        run_params = _params.decode(params or b"{}")
    except msgspec.ValidationError as error:
        raise refusal_of_struct(str(error), RunParams).within("params") from None
    object_text(run_params.payload, "params.payload")
    return run_params


class DeviceRunBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Body of POST …/runs. `device`, `deviceId` and `device_id` are the same member."""

    id: Annotated[ChosenId, Meta(description="idempotency key: the id of the run")] | None = None
    device: Annotated[DeviceName, Meta(description="device of the run, when the document names none")] | None = None
    device_id: Annotated[DeviceName, Meta(description="another name of `device`")] | None = None
    device_snake_id: Annotated[DeviceName, Meta(description="another name of `device`")] | None = msgspec.field(
        name="device_id", default=None
    )
    payload: (
        Annotated[
            Raw, Meta(description="members for the payload of the first step", extra_json_schema={"type": "object"})
        ]
        | UnsetType
    ) = UNSET

    def __post_init__(self) -> None:
        """Refuse a payload that is not an object."""
        object_text(self.payload, "payload")

    @property
    def params(self) -> bytes:
        """The params of the run, as JSON text."""
        named = [name for name in (self.device, self.device_id, self.device_snake_id) if name is not None]
        return encode_run_params(named[0] if named else None, self.payload)


def encode_run_params(device: str | int | None, payload: Raw | UnsetType) -> bytes:
    """Return the params of a run, as JSON text."""
    params = {} if device is None else {"device": device}
    return msgspec.json.encode(params if payload is UNSET else {**params, "payload": payload})


_params = msgspec.json.Decoder(RunParams)
