"""Validation errors of msgspec as refusals that name the field."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from fencepost.domain.suggestions import hint, shortened
from fencepost.errors import Refusal, field_of, invalid_params

_STEP = re.compile(r"\.([^.\[]+)|\[[^\]]*\]")
_AT = " - at `$"
_BEFORE_UNKNOWN = "Object contains unknown field `"
_UNKNOWN = re.compile(rf"^{_BEFORE_UNKNOWN}(.*)`$", re.DOTALL)
_CHOICE = re.compile(r"^Invalid (?:enum )?value ")
_MISSING = re.compile(r"^Object missing required field `(.*)`$", re.DOTALL)
_RULE = " matching regex "


def refusal_of_struct(message: str, struct: Any) -> Refusal:
    """Return msgspec's error message about a struct, or a union of structs, as a refusal (`invalid-params`)."""
    said, is_located, path = message.rpartition(_AT)
    # The search begins at the end, since a name in the request may contain the same words thousands of times. Words
    # inside the name of an unknown member have no quote before them.
    if is_located and path.endswith("`") and (said.endswith("`") or not said.startswith(_BEFORE_UNKNOWN)):
        message, path = said, path[:-1]
    else:
        path = ""
    if unknown := _UNKNOWN.match(message):
        name = shortened(unknown[1])
        names = _member_names_at(struct, path)
        # Another alternative of a union may have the name.
        near = "" if unknown[1] in names else hint(unknown[1], names)
        return invalid_params(f"there is no param {name!r}{near}", field_of(f"{path}.{name}"))
    if missing := _MISSING.match(message):
        return invalid_params(f"{missing[1]!r} is missing", field_of(f"{path}.{missing[1]}"))
    if _RULE in message and (rule := _rule_at(struct, path, message)):
        return invalid_params(f"Expected {rule}", field_of(path))
    if _CHOICE.match(message) and (choices := _choices_at(struct, path)):
        message = f"{message}; there are {', '.join(choices)}"
    return invalid_params(message, field_of(path))


def member_names(struct: Any) -> list[str]:
    """Return the wire names of the members of a struct, or of all structs of a union."""
    structs = get_args(struct) or (struct,)
    return [field.encode_name for one in structs for field in msgspec.structs.fields(one)]


def _member_names_at(struct: Any, path: str) -> list[str]:
    """Return the wire names of the members of the structs at a path."""
    return [name for one in _types_at(struct, path) if _is_struct(one) for name in member_names(one)]


def _choices_at(struct: Any, path: str) -> list[str]:
    """Return the texts that are allowed at a path."""
    above, _, member = path.rpartition(".")
    tagged = [one.__struct_config__ for one in _types_at(struct, above) if _is_struct(one)]
    tags = [str(config.tag) for config in tagged if config.tag_field == member]
    literals = [one for one in _types_at(struct, path) if get_origin(one) is Literal]
    return sorted({*tags, *(str(choice) for literal in literals for choice in get_args(literal))})


def _rule_at(struct: Any, path: str, message: str) -> str | None:
    """Return the description of the pattern that a text at a path does not match."""
    *above, last = _STEP.finditer(path)
    found = [*_alternatives(struct)]
    for step in above:
        found = [part for one in found for part in _parts(one, step[1])]
    metas = [meta for one in found for type_ in _members(one, last[1]) for meta in _metas(type_)]
    return next((meta.description for meta in metas if meta.pattern and _quoted(meta.pattern) in message), None)


def _quoted(pattern: str) -> str:
    """Return a pattern in the spelling of msgspec's messages."""
    return pattern.replace("\\", "\\\\")


def _metas(type_: Any) -> Iterator[Meta]:
    """Yield the annotations of a type, and of each member of a union."""
    if get_origin(type_) is Annotated:
        inner, *metas = get_args(type_)
        yield from (meta for meta in metas if isinstance(meta, Meta))
        yield from _metas(inner)
    elif get_origin(type_) in (Union, types.UnionType):
        for one in get_args(type_):
            yield from _metas(one)


def _types_at(struct: Any, path: str) -> list[Any]:
    """Return the types that are allowed at a path."""
    found = [*_alternatives(struct)]
    for step in _STEP.finditer(path):
        found = [part for one in found for part in _parts(one, step[1])]
    return found


def _parts(one: Any, member: str | None) -> Iterable[Any]:
    """Return the types of a member, or of any item (`member` is None)."""
    return [part for type_ in _members(one, member) for part in _alternatives(type_)]


def _members(one: Any, member: str | None) -> Iterable[Any]:
    """Return the declared types of a member, or of any item (`member` is None)."""
    if member is None:
        return get_args(one)
    fields = msgspec.structs.fields(one) if _is_struct(one) else ()
    return [field.type for field in fields if field.encode_name == member]


def _alternatives(type_: Any) -> Iterator[Any]:
    """Yield the alternatives of a type: the members of a union, without annotations."""
    if get_origin(type_) is Annotated:
        yield from _alternatives(get_args(type_)[0])
    elif get_origin(type_) in (Union, types.UnionType):
        for one in get_args(type_):
            yield from _alternatives(one)
    else:
        yield type_


def _is_struct(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, msgspec.Struct)
