"""Fields of refusals: how they are joined, renamed and converted to JSON paths."""

from __future__ import annotations

import msgspec
import pytest

from fencepost.errors import FieldError, Refusal, Verbatim, field_of, invalid_params, path_of
from fencepost.resources.error_body import error_body


@pytest.mark.parametrize("steps", ["", ".a", "[0]", "[0].a", ".a[0].b", ".", ".[a", "..a", ".a.", '["a b"]', ".a.b c"])
def test_every_json_path_of_a_field_comes_back(steps: str) -> None:
    field = field_of(f"${steps}")
    assert path_of(field) == f"${steps}"
    assert path_of(field, "$[3].params") == f"$[3].params{steps}"
    assert invalid_params("bad", field).within("params").field == f"params{steps}"


def test_a_first_name_has_no_dot() -> None:
    assert [field_of(path) for path in ("$.a", "$.a.b", "$[0]", "$")] == ["a", "a.b", "[0]", ""]


def test_a_refusal_without_a_field_is_about_the_whole_value() -> None:
    assert invalid_params("bad").within("params").field == "params"


def test_a_refusal_moves_with_its_further_faults() -> None:
    refusal = invalid_params("bad", "a", [FieldError("a", "bad"), FieldError("", "worse")]).within("params")
    assert (refusal.field, refusal.errors) == ("params.a", [("params.a", "bad"), ("params", "worse")])
    assert refusal.about("name").errors is None


@pytest.mark.parametrize(
    ("field", "renamed"),
    [
        ("params", ""),
        ("params.a", "a"),
        ("params[0]", "[0]"),
        ("params..a", "..a"),
        ("paramsX", "paramsX"),
        (None, None),
    ],
)
def test_a_renamed_field_takes_the_fields_in_it_along(field: str | None, renamed: str | None) -> None:
    assert invalid_params("bad", field).renamed("params", "").field == renamed


def test_a_copy_keeps_everything_else() -> None:
    class Special(Refusal):
        def __init__(self) -> None:
            super().__init__(invalid_params("").kind, reason="bad", retry_after=3)

    moved = Special().within("a")
    assert (type(moved), str(moved), moved.message, moved.retry_after) == (Special, "bad", "bad", 3)


def test_the_edge_converts_fields_to_json_paths() -> None:
    refusal = invalid_params("bad", "a", [FieldError("a", "bad")])
    fault = error_body(refusal, "$[3].params")
    assert (fault.path, fault.errors) == ("$[3].params.a", [{"path": "$[3].params.a", "message": "bad"}])
    assert error_body(invalid_params("bad", Verbatim("_count"))).path == "_count"
    assert b'"path":"_count"' in msgspec.json.encode(error_body(invalid_params("bad", Verbatim("_count"))))
