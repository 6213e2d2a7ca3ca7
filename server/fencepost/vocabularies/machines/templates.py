"""Machine templates by the ids and short names that gRPC clients use.

The id is derived from the name of the document, so every template has one and no id is stored.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from fencepost.domain.validation import refusal_of_struct
from fencepost.engine.definitions import Definitions
from fencepost.errors import DEFINITION_EXISTS, DEFINITION_NOT_FOUND, Refusal, invalid_params
from fencepost.vocabularies.machines.document import MachineTemplate

_NAMESPACE = uuid.UUID("f1a5ad0e-7c05-5d31-9d6f-50bb0a1fb1a3")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}")
_NAMESPACE_OF_SHORT_NAMES = "machine"
# The longest segment of a document's name.
_LONGEST_SEGMENT = 100


class FoundTemplate(NamedTuple):
    """A template: its id and short name, its document, and the times of its first and its newest version."""

    id: str
    name: str
    definition: str
    text: str
    pull_grace: int
    created_at: str
    updated_at: str


class Templates:
    """The machine templates of a database; methods raise Refusal, `definition-not-found` for an unknown one."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    async def create(self, name: str, text: str, *, caller: str) -> FoundTemplate:
        """Declare a template under a new short name; raise Refusal (`already-exists`, `invalid-params`)."""
        definition = definition_of(name)
        if await self._named(name) is not None:
            raise Refusal(DEFINITION_EXISTS, field="name", name=name)
        taken, free = set(await self._names()), definition
        # A template that was renamed keeps the name of its document, so that its id stays the same.
        for number in count(2):
            if free not in taken:
                break
            free = f"{definition}/{number}"
        return await self._put({"name": free, "template": text, **_client_name(name, free)}, caller)

    async def update(self, id: str, name: str, text: str, *, caller: str) -> FoundTemplate:
        """Declare a new version of a template; an empty name or text keeps the old one.

        Raises Refusal: `definition-not-found`, `already-exists` (another template has the name), `invalid-params`.
        """
        found = await self.get(id)
        if name and name != found.name:
            definition_of(name)
            if await self._named(name) is not None:
                raise Refusal(DEFINITION_EXISTS, field="name", name=name)
        name = name or found.name
        document = {"name": found.definition, "template": text or found.text, "pullGrace": found.pull_grace}
        return await self._put({**document, **_client_name(name, found.definition)}, caller)

    async def get(self, id: str) -> FoundTemplate:
        """Return a template by its id; raise Refusal (`definition-not-found`)."""
        name = (await self._by_id()).get(id)
        if name is None:
            raise Refusal(DEFINITION_NOT_FOUND, field="id", name=id, hint="")
        return await self._found(name)

    async def get_named(self, name: str) -> FoundTemplate:
        """Return a template by its short name; raise Refusal (`definition-not-found`)."""
        found = await self._named(name)
        if found is None:
            raise Refusal(DEFINITION_NOT_FOUND, field="name", name=name, hint="")
        return found

    async def list(self, pattern: str) -> Sequence[FoundTemplate]:
        """Return the templates with a short name that matches a pattern (`*` for any text), ignoring case."""
        fits = _pattern(pattern)
        several = [await self._found(name) for name in await self._names()]
        return [found for found in several if fits.fullmatch(found.name)]

    async def delete(self, definition: str) -> None:
        """Delete a template; raise Refusal if a live workflow uses it."""
        await self._definitions.delete(definition)

    async def _put(self, document: Mapping[str, Any], caller: str) -> FoundTemplate:
        try:
            template = msgspec.convert({"kind": MachineTemplate.kind, **document}, MachineTemplate)
        except msgspec.ValidationError as error:
            raise refusal_of_struct(str(error), MachineTemplate) from None
        await self._definitions.put(template, msgspec.json.encode(template), caller=caller)
        return await self._found(template.name)

    async def _found(self, name: str) -> FoundTemplate:
        first, newest = await self._definitions.get(name, 1), await self._definitions.get(name)
        document = newest.document
        assert isinstance(document, MachineTemplate), "its kind is machine-template"
        return FoundTemplate(
            id=id_of(name),
            name=name_of(name) if document.client_name is UNSET else document.client_name,
            definition=name,
            text=document.template,
            pull_grace=document.pull_grace,
            created_at=first.created_at,
            updated_at=newest.created_at,
        )

    async def _named(self, name: str) -> FoundTemplate | None:
        """Return the template with a short name, or None."""
        for definition in await self._names():
            if (found := await self._found(definition)).name == name:
                return found
        return None

    async def _names(self) -> Sequence[str]:
        return sorted(await self._definitions.names_of([MachineTemplate.kind]))

    async def _by_id(self) -> Mapping[str, str]:
        return {id_of(name): name for name in await self._names()}


def _client_name(name: str, definition: str) -> Mapping[str, str]:
    """Return the member `clientName` of a document, if the short name does not follow from its own name."""
    return {} if name_of(definition) == name else {"clientName": name}


def _pattern(pattern: str) -> re.Pattern[str]:
    first, *others = map(re.escape, pattern.split("*"))
    # Atomic groups: with backtracking, ten parts take minutes.
    middle = "".join(f"(?>.*?{part})" for part in others[:-1])
    last = f".*{others[-1]}" if others else ""
    return re.compile(f"{first}{middle}{last}", re.IGNORECASE | re.DOTALL)


def id_of(definition: str) -> str:
    """Return the template id for the name of a document."""
    return str(uuid.uuid5(_NAMESPACE, definition))


def definition_of(name: str) -> str:
    """Return the name of a document for a short name; raise Refusal (`invalid-params`) for a malformed one."""
    if not _NAME.fullmatch(name):
        raise invalid_params("must be 1 to 200 letters, digits, `_` and `-`", "name")
    return "/".join(
        (_NAMESPACE_OF_SHORT_NAMES, *(name[at : at + _LONGEST_SEGMENT] for at in range(0, len(name), _LONGEST_SEGMENT)))
    )


def name_of(definition: str) -> str:
    """Return the short name for the name of a document; in another namespace, the whole name."""
    namespace, _, rest = definition.partition("/")
    return rest.replace("/", "") if namespace == _NAMESPACE_OF_SHORT_NAMES else definition
