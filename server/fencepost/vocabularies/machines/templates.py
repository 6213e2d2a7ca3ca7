"""Templates by the ids that they have for clients of machines, and by names without a namespace.

An id follows from the name of the document: every template has one, however it was declared, and nothing is kept.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from fencepost.domain.faults import fault_of_struct
from fencepost.engine.definitions import Definitions
from fencepost.errors import DEFINITION_EXISTS, DEFINITION_NOT_FOUND, Refusal, invalid_params
from fencepost.vocabularies.machines.document import MachineTemplate

_NAMESPACE = uuid.UUID("f1a5ad0e-7c05-5d31-9d6f-50bb0a1fb1a3")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}")
_OF_CLIENTS = "machine"
# The longest part of a document's name.
_PART = 100


class FoundTemplate(NamedTuple):
    """A template: its id and its name for clients, its document, and when its first and its newest version came."""

    id: str
    name: str
    definition: str
    text: str
    pull_grace: int
    created_at: str
    updated_at: str


class Templates:
    """The templates of a database, for those who know ids and short names."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    async def create(self, name: str, text: str, *, caller: str) -> FoundTemplate:
        """Declare a template under a name that is free; raise Refusal."""
        definition = definition_of(name)
        if await self._named(name) is not None:
            raise Refusal(DEFINITION_EXISTS, at="$.name", name=name)
        taken, free = set(await self._names()), definition
        # One that was called so has another name now, and keeps its document and its id.
        for number in count(2):
            if free not in taken:
                break
            free = f"{definition}/{number}"
        return await self._put({"name": free, "template": text, **_called(name, free)}, caller)

    async def update(self, id: str, name: str, text: str, *, caller: str) -> FoundTemplate:
        """Declare a new version of a template, with another name, another text or both; raise Refusal."""
        found = await self.get(id)
        if name and name != found.name:
            definition_of(name)
            if await self._named(name) is not None:
                raise Refusal(DEFINITION_EXISTS, at="$.name", name=name)
        name = name or found.name
        document = {"name": found.definition, "template": text or found.text, "pullGrace": found.pull_grace}
        return await self._put({**document, **_called(name, found.definition)}, caller)

    async def get(self, id: str) -> FoundTemplate:
        """Return a template by its id; raise Refusal when there is none."""
        name = (await self._by_id()).get(id)
        if name is None:
            raise Refusal(DEFINITION_NOT_FOUND, at="$.id", name=id, hint="")
        return await self._found(name)

    async def get_named(self, name: str) -> FoundTemplate:
        """Return a template by its name; raise Refusal when there is none."""
        found = await self._named(name)
        if found is None:
            raise Refusal(DEFINITION_NOT_FOUND, at="$.name", name=name, hint="")
        return found

    async def list(self, pattern: str) -> Sequence[FoundTemplate]:
        """Return the templates whose names fit a pattern with `*` for anything, whatever the case."""
        fits = _pattern(pattern)
        several = [await self._found(name) for name in await self._names()]
        return [found for found in several if fits.fullmatch(found.name)]

    async def delete(self, definition: str) -> None:
        """Delete a template that no live workflow needs."""
        await self._definitions.delete(definition)

    async def _put(self, document: Mapping[str, Any], caller: str) -> FoundTemplate:
        try:
            template = msgspec.convert({"kind": MachineTemplate.kind, **document}, MachineTemplate)
        except msgspec.ValidationError as error:
            raise fault_of_struct(str(error), MachineTemplate) from None
        await self._definitions.put(template, msgspec.json.encode(template), caller=caller)
        return await self._found(template.name)

    async def _found(self, name: str) -> FoundTemplate:
        first, newest = await self._definitions.get(name, 1), await self._definitions.get(name)
        document = newest.document
        assert isinstance(document, MachineTemplate), "that is its kind"
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
        """Return the template of a name, which it may have been given after it was declared."""
        for definition in await self._names():
            if (found := await self._found(definition)).name == name:
                return found
        return None

    async def _names(self) -> Sequence[str]:
        return sorted(await self._definitions.names_of([MachineTemplate.kind]))

    async def _by_id(self) -> Mapping[str, str]:
        return {id_of(name): name for name in await self._names()}


def _called(name: str, definition: str) -> Mapping[str, str]:
    """Return what a document says of its name for clients, if that does not follow from its own."""
    return {} if name_of(definition) == name else {"clientName": name}


def _pattern(pattern: str) -> re.Pattern[str]:
    first, *others = map(re.escape, pattern.split("*"))
    # Each part where it comes first, and no second thoughts: with them, ten parts take minutes.
    middle = "".join(f"(?>.*?{part})" for part in others[:-1])
    last = f".*{others[-1]}" if others else ""
    return re.compile(f"{first}{middle}{last}", re.IGNORECASE | re.DOTALL)


def id_of(definition: str) -> str:
    """Return the id of a document for clients of machines."""
    return str(uuid.uuid5(_NAMESPACE, definition))


def definition_of(name: str) -> str:
    """Return the document's name for a short one; raise Refusal for one that is none."""
    if not _NAME.fullmatch(name):
        raise invalid_params("must be 1 to 200 letters, digits, `_` and `-`", "$.name")
    return "/".join((_OF_CLIENTS, *(name[at : at + _PART] for at in range(0, len(name), _PART))))


def name_of(definition: str) -> str:
    """Return the short name of a document; of one with another namespace, the whole name."""
    namespace, _, rest = definition.partition("/")
    return rest.replace("/", "") if namespace == _OF_CLIENTS else definition
