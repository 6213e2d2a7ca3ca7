"""The size of a schema counts expanded references in linear time, and names its heaviest part."""

from __future__ import annotations

from typing import Any

import pytest

from fencepost.domain.schema import Deferred, Question, Schema
from fencepost.domain.schema_size import size_of
from fencepost.errors import Refusal

pytestmark = pytest.mark.shows("guarantees/payload-never-stops")


def doubling(levels: int, of: str = "allOf", inside: str | None = None) -> dict[str, Any]:
    """Return a schema in which each level refers twice to the next."""

    def next_one(level: int) -> dict[str, Any]:
        target = {"$ref": f"#/$defs/a{level + 1}"}
        return target if inside is None else {"properties": {inside: target}}

    defs: dict[str, Any] = {f"a{n}": {of: [next_one(n), next_one(n)]} for n in range(levels)}
    return {"$ref": "#/$defs/a0", "$defs": {**defs, f"a{levels}": {"type": "object"}}}


@pytest.mark.parametrize("of", ["allOf", "anyOf", "oneOf"])
def test_the_size_of_a_doubling_chain_counts_every_expanded_reference(of: str) -> None:
    sizes = [size_of(doubling(levels, of), most_here=100).largest for levels in (1, 2, 3, 30)]
    # The last level weighs 2; any other level weighs 2, plus twice the sum of 2 for the reference and the next level.
    assert sizes[:3] == [12, 28, 60]
    assert sizes[3] > 2**30


def test_the_path_of_the_heaviest_part_of_a_schema_is_named() -> None:
    assert size_of(doubling(30), most_here=10_000).path == ".$defs.a19"
    assert size_of({"properties": {"x y": {"items": doubling(30)}}}, most_here=10_000).open, (
        "its references do not resolve in the document"
    )
    nested = {"properties": {"x y": {"items": {"enum": list(range(90_000))}}}}
    assert size_of(nested, most_here=10_000).path == '.properties["x y"].items'


@pytest.mark.parametrize(
    ("reference", "target"),
    [("#here", {"$anchor": "here"}), ("other", {"$id": "other"}), ("http://there/x", {"$id": "http://there/x"})],
)
def test_references_to_anchors_and_ids_are_followed(reference: str, target: dict[str, Any]) -> None:
    heavy = {**target, "enum": list(range(90_000))}
    size = size_of({"$id": "http://here/", "$ref": reference, "$defs": {"heavy": heavy}}, most_here=10_000)
    assert (size.open, size.path) == (False, ".$defs.heavy")


def test_a_long_chain_of_references_needs_no_recursion() -> None:
    many = 30_000
    defs: dict[str, Any] = {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(many)}
    size = size_of({"$ref": "#/$defs/a0", "$defs": {**defs, f"a{many}": True}}, most_here=10_000)
    assert size.largest == 2 * many + 2


def test_a_recursive_schema_has_a_finite_size_and_is_open() -> None:
    tree = {"properties": {"of": {"items": {"$ref": "#"}}}}
    assert size_of(tree, most_here=100) == (6, 5, 0, True, 2, "")


def test_keywords_for_each_item_raise_the_work_per_byte_of_payload() -> None:
    assert size_of({"properties": {"a": {"type": "string"}}}, most_here=100).per_byte == 1
    assert size_of({"items": {"type": "string"}}, most_here=100).per_byte == 4
    assert size_of({"items": {"allOf": [{"type": "string"}] * 50}}, most_here=1000).per_byte == 104
    assert size_of({"uniqueItems": True}, most_here=100).per_byte == 50


PLAIN = {
    "type": "object",
    "required": ["id"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
        "at": {"type": "string", "format": "date-time"},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 40}},
        "size": {"$ref": "#/$defs/size"},
    },
    "$defs": {"size": {"type": "object", "properties": {"width": {"type": "integer", "minimum": 0}}}},
}


def test_a_simple_schema_is_checked_in_the_server_process() -> None:
    schema = Schema(PLAIN, field="params")
    schema.declare()
    schema.check(b'{"id":"6fa459ea-ee8a-3ca4-894e-db77e160355e","size":{"width":3}}', field="params")
    with pytest.raises(Refusal) as caught:
        schema.check(b'{"id":"6fa459ea-ee8a-3ca4-894e-db77e160355e","size":{"width":-3}}', field="params")
    assert caught.value.field == "params.size.width"


@pytest.mark.parametrize(
    "document",
    [
        {"$ref": "#"},
        {"properties": {"of": {"$ref": "#"}}},
        {"$dynamicRef": "#x", "$defs": {"x": {"$dynamicAnchor": "x"}}},
        {"unevaluatedProperties": False},
        {"unevaluatedItems": False},
        {"format": "regex"},
        {"pattern": "(a{100}){100}"},
        {"pattern": "a{1,1000}"},
        {"pattern": "x" * 3000},
        {"patternProperties": {f"^{n}": True for n in range(500)}},
        {"enum": list(range(50_000))},
        {"$ref": "http://elsewhere/schema"},
        doubling(12),
        {"description": "x" * 20_000},
    ],
)
def test_an_expensive_schema_is_deferred_to_a_subprocess(document: dict[str, Any]) -> None:
    with pytest.raises(Deferred) as declared:
        Schema(document, field="params").declare()
    with pytest.raises(Deferred) as checked:
        Schema(document, field="params").check(b"[]", field="params")
    assert declared.value.question.payload is None
    assert checked.value.question == Question(declared.value.question.schema, b"[]")


def test_a_large_payload_of_a_schema_for_each_item_is_deferred() -> None:
    schema = Schema({"type": "object", "items": {"allOf": [{"type": "integer"}] * 100}}, field="params")
    schema.check(b"{}", field="params")
    with pytest.raises(Deferred):
        schema.check(b'{"a":[' + b"1," * 4000 + b"1]}", field="params")
