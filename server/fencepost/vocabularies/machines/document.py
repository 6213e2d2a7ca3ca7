"""Documents of `kind: machine-template`: the actions for a machine, as a text template."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType

from fencepost.domain.definition import Beginning, Decided
from fencepost.errors import invalid_params
from fencepost.vocabularies.machines.hardware_document import address_of
from fencepost.vocabularies.machines.plan import check_source, plan_of

# Workers create a folder with the workflow's id and mount it: `a:b` would mount `a`, `../x` another folder.
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_LONGEST_GRACE = 7 * 24 * 3600


class MachineTemplate(
    Decided, frozen=True, forbid_unknown_fields=True, rename="camel", tag_field="kind", tag="machine-template"
):
    """A template: rendered with `hardware` from the params of a workflow, then read as YAML."""

    kind: ClassVar[str] = "machine-template"
    template: Annotated[str, Meta(min_length=1, max_length=1 << 20, description="the template's text")]
    pull_grace: Annotated[
        int,
        Meta(ge=0, le=_LONGEST_GRACE, description="seconds beyond its timeout that an action gets to pull its image"),
    ] = 600
    client_name: (
        Annotated[
            str,
            Meta(
                pattern=r"^[A-Za-z0-9_-]{1,200}\Z",
                description="its name for gRPC clients; by default it follows from `name`",
            ),
        ]
        | UnsetType
    ) = UNSET

    def compile(self) -> None:
        """Raise Refusal (`invalid-params`) for a template that is wrong for any hardware."""
        super().compile()
        check_source(self.template)

    def check_id(self, id: str) -> None:
        """Raise Refusal (`invalid-params`) for an id that is not a path below the folder of a worker."""
        if not _ID.fullmatch(id):
            reason = "must be letters, digits, `_`, `.` and `-`; segments between `/` must not begin with `.` or `-`"
            raise invalid_params(f"{reason}: workers create a folder with this name", "id")

    def begin(self, params: bytes | None) -> Beginning:
        """Raise Refusal (`invalid-params`) if the template cannot be rendered; the workflow is about its workers."""
        workers = plan_of(self.template, params).workers
        return Beginning(about=tuple({name: None for worker in workers for name in (worker, address_of(worker))}))
