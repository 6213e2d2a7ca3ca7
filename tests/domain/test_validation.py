"""Messages for values that violate an enum, a pattern or the members of a document."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import msgspec
import pytest
from msgspec import Meta

from fencepost.domain.suggestions import shortened
from fencepost.domain.validation import refusal_of_struct
from fencepost.vocabularies.devices.document import DeviceRunBody
from tests.fixtures.surface import DOCUMENTS, METHODS

TASK = {"name": "a", "type": "action", "taskDetails": {"serviceId": "s", "actionName": "a"}}


@pytest.mark.parametrize(
    ("document", "at", "message"),
    [
        (
            {"kind": "process", "name": "hr/hire", "steps": [{"code": "A", "handlerType": "page"}]},
            "steps[0].handlerType",
            "Invalid enum value 'page'; there are BATCH_JOB, PAGE",
        ),
        (
            {"kind": "taskflow", "name": "demo/flow", "stages": [{"name": "s", "tasks": [TASK]}]},
            "stages[0].tasks[0].type",
            "Invalid enum value 'action'; there are ACTION, CHANNEL, WORKFLOW",
        ),
        (
            {"kind": "tasks", "name": "demo/a"},
            "kind",
            "Invalid value 'tasks'; there are device-workflow, machine-template, process, schedule, task, taskflow, "
            "trigger, workflow",
        ),
    ],
)
def test_an_invalid_enum_value_is_refused_with_the_valid_values(
    document: dict[str, Any], at: str, message: str
) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        DOCUMENTS.read(msgspec.json.encode(document))
    refusal = refusal_of_struct(str(caught.value), DOCUMENTS.union)
    assert (refusal.field, refusal.message) == (at, message)


def _patterns(type_: Any, seen: set[Any]) -> Iterator[Meta]:
    """Yield the metadata of every pattern in a type and in the types of its members."""
    if get_origin(type_) is Annotated:
        yield from (meta for meta in get_args(type_)[1:] if isinstance(meta, Meta) and meta.pattern)
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct) and type_ not in seen:
        seen.add(type_)
        for field in msgspec.structs.fields(type_):
            yield from _patterns(field.type, seen)
    for part in get_args(type_):
        yield from _patterns(part, seen)


def test_every_pattern_of_a_schema_has_a_description() -> None:
    seen: set[Any] = set()
    types_ = [DOCUMENTS.union, DeviceRunBody, *(method.params for method in METHODS.methods.values())]
    found = [meta for type_ in types_ for meta in _patterns(type_, seen)]
    assert len(found) > 20
    assert [meta for meta in found if not meta.description] == []


@pytest.mark.parametrize(
    ("document", "at", "rule"),
    [
        ({"kind": "process", "name": "hire", "steps": [{"code": "TOO LONG"}]}, "steps[0].code", "1 to 8 letters"),
        (
            {"kind": "device-workflow", "name": "patrol", "device": "a b", "steps": []},
            "device",
            "1 to 100 letters, digits, `_`, `.` or `-`",
        ),
        (
            {"kind": "process", "name": "hire", "steps": [{"code": "A", "definition": "/x"}]},
            "steps[0].definition",
            "a name of up to six parts",
        ),
    ],
)
def test_a_text_that_violates_a_pattern_is_refused_with_the_rule_in_words(document: Any, at: str, rule: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        DOCUMENTS.read(msgspec.json.encode(document))
    refusal = refusal_of_struct(str(caught.value), DOCUMENTS.union)
    assert refusal.field == at
    assert refusal.message.startswith(f"Expected {rule}")
    assert "regex" not in refusal.message


def test_an_unknown_member_name_full_of_path_markers_is_parsed_in_linear_time() -> None:
    name = " - at `$" * 100_000 + "\n"
    begun = time.process_time()
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(msgspec.json.encode({name: 1}), type=DeviceRunBody)
    fault = refusal_of_struct(str(caught.value), DeviceRunBody)
    assert time.process_time() - begun < 2.0
    assert (fault.field, fault.message) == (shortened(name), f"there is no param {shortened(name)!r}")


@pytest.mark.parametrize("name", [" matching regex  - at `$", " matching regex  - at `$[", "x - at `$.y", "`"])
def test_an_unknown_member_name_with_words_of_an_error_message_is_refused_like_any_other(name: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(msgspec.json.encode({name: 1}), type=DeviceRunBody)
    fault = refusal_of_struct(str(caught.value), DeviceRunBody)
    assert (fault.field, fault.message) == (name, f"there is no param {name!r}")


def test_a_member_of_another_kind_of_document_is_not_suggested() -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        DOCUMENTS.read(b'{"kind": "process", "name": "hire", "steps": [], "params": {}}')
    refusal = refusal_of_struct(str(caught.value), DOCUMENTS.union)
    assert (refusal.field, refusal.message) == ("params", "there is no param 'params'")
