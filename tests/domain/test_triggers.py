"""Rules of triggers and subscriptions, their index keys, and placeholders in params."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fencepost.domain import lossless_json
from fencepost.domain.matching import ANY_VALUE, MISSING, IndexKey, Rule, index_key_in, index_key_of, matches, value_in
from fencepost.domain.trigger import TriggerDefinition
from fencepost.errors import Refusal
from tests.fixtures.surface import DOCUMENTS

# Few names and values, so that random paths often lead to a value.
_NAMES = st.sampled_from(["a", "b", "0"])
_SCALARS = st.sampled_from([None, True, False, 0, 1, -1, 1.0, 0.5, -0.0, 2**53, 2.0**53, 2**53 + 1, "", "a", "1", "é"])
_COMPARATORS = st.sampled_from(["eq", "gt", "lt", "ge", "le"])
values = st.recursive(
    _SCALARS
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=8,
)
resources = st.dictionaries(_NAMES, values, max_size=3)
paths = st.lists(_NAMES | st.integers(0, 2), min_size=1, max_size=3).map(tuple)
rules = st.builds(Rule, get_in=paths, comparator=_COMPARATORS, value=_SCALARS)


def rule(path: Any, comparator: Any, value: Any) -> Rule:
    return Rule(get_in=path, comparator=comparator, value=value)


@pytest.mark.parametrize(
    ("comparator", "fits"),
    [
        ("eq", [False, True, False]),
        ("gt", [False, False, True]),
        ("ge", [False, True, True]),
        ("lt", [True, False, False]),
        ("le", [True, True, False]),
    ],
)
def test_numbers_compare_with_numbers_and_texts_with_texts(comparator: str, fits: list[bool]) -> None:
    for value, others in ((2, [1.5, 2.0, 3]), ("b", ["a", "b", "ba"])):
        assert [matches([rule(("x",), comparator, value)], {"x": other}) for other in others] == fits


@pytest.mark.parametrize(
    ("value", "other"),
    [(1, "1"), (1, True), (0, False), (0, None), ("", None), (False, None), ("a", ["a"]), (1, {"a": 1})],
)
@pytest.mark.parametrize("comparator", ["eq", "gt", "ge", "lt", "le"])
def test_values_of_different_kinds_never_match(comparator: str, value: Any, other: Any) -> None:
    assert not matches([rule(("x",), comparator, value)], {"x": other})


@pytest.mark.parametrize("value", [True, False, None])
def test_booleans_and_null_match_only_by_equality(value: Any) -> None:
    fits = {c for c in ("eq", "gt", "ge", "lt", "le") if matches([rule(("x",), c, value)], {"x": value})}
    assert fits == {"eq"}


@pytest.mark.parametrize("path", [("y",), ("x", "y"), ("x", 0), ("list", 2), ("list", "0"), ("list", 0, "y")])
def test_a_path_without_a_value_never_matches(path: Any) -> None:
    resource = {"x": 1, "list": [None, 2]}
    assert value_in(resource, path) is MISSING
    assert not matches([rule(path, "eq", None)], resource)
    assert index_key_in(resource, json.dumps(path)) is None


@given(st.lists(rules, min_size=1, max_size=3), resources)
def test_all_rules_must_hold(some: list[Rule], resource: Any) -> None:
    assert matches(some, resource) == all(matches([one], resource) for one in some)


@given(paths, _SCALARS, resources)
def test_exactly_one_of_lt_eq_and_gt_holds_for_comparable_values(path: Any, value: Any, resource: Any) -> None:
    holds = [matches([rule(path, comparator, value)], resource) for comparator in ("lt", "eq", "gt")]
    assert sum(holds) <= 1
    found = value_in(resource, path)
    ordered = any(isinstance(value, kinds) and isinstance(found, kinds) for kinds in (str, int | float))
    if ordered and not isinstance(value, bool) and not isinstance(found, bool):
        assert sum(holds) == 1


@given(st.lists(rules, min_size=1, max_size=3), resources)
@example([rule(("a",), "eq", 2**53)], {"a": 2.0**53})
@example([rule(("a",), "eq", 0)], {"a": -0.0})
def test_a_matching_resource_has_the_index_key_of_the_rules(some: list[Rule], resource: Any) -> None:
    place = index_key_of(some)
    if matches(some, resource):
        found = index_key_in(resource, place.path)
        assert found is not None
        assert place.value in (found.value, ANY_VALUE)


def test_the_index_key_of_rules_is_their_last_equality() -> None:
    some = [rule(("type",), "eq", "x"), rule(("id",), "eq", 7), rule(("n",), "gt", 1)]
    assert index_key_of(some) == index_key_in({"id": 7.0}, '["id"]')
    assert index_key_of(some) != index_key_in({"id": 8}, '["id"]')
    assert index_key_of(some[2:]) == IndexKey('["n"]', ANY_VALUE)


def test_a_path_too_long_for_the_index_is_refused_with_the_path_of_its_rule() -> None:
    with pytest.raises(Refusal) as refused:
        index_key_of([rule(("a",), "gt", 1), rule(("x" * 200,) * 3, "eq", 1)])
    assert refused.value.field == "select-by[1].get-in"


# Filling


def trigger(params: Any) -> TriggerDefinition:
    document = {
        "kind": "trigger",
        "name": "demo/review",
        "select-by": [{"get-in": ["a"], "comparator": "eq", "value": 1}],
        "task-request": {"definition": "demo/resize", "params": params},
    }
    declared = DOCUMENTS.read(msgspec.json.encode(document))
    assert isinstance(declared, TriggerDefinition)
    declared.compile()
    return declared


def filled(params: Any, resource: Any) -> Any:
    request = trigger(params).requested(lossless_json.read(json.dumps(resource).encode()), most_bytes=1 << 20)
    return msgspec.json.decode(bytes(request.params))  # type: ignore[arg-type]  # they are there


@given(st.dictionaries(_NAMES, values), resources)
def test_params_without_placeholders_are_unchanged(params: Any, resource: Any) -> None:
    assert filled(params, resource) == params


@given(paths, resources)
def test_a_placeholder_is_filled_with_the_value_at_its_path_or_null(path: Any, resource: Any) -> None:
    found = value_in(resource, path)
    params = {"deep": [{"in": {"get-in": list(path)}}], "all": {"get-in": []}}
    assert filled(params, resource) == {"deep": [{"in": None if found is MISSING else found}], "all": resource}


def test_an_object_with_other_members_is_no_placeholder() -> None:
    params = {"a": {"get-in": ["x"], "or": 1}}
    assert filled(params, {"x": 2}) == params


def test_a_filled_in_value_is_not_searched_for_placeholders() -> None:
    assert filled({"a": {"get-in": ["x"]}}, {"x": {"get-in": ["y"]}, "y": 1}) == {"a": {"get-in": ["y"]}}


def test_filled_params_beyond_the_size_limit_are_refused() -> None:
    whole = trigger({"a": [{"get-in": []}] * 10})
    assert whole.requested({"x": "y" * 90}, most_bytes=1000)
    with pytest.raises(Refusal) as refused:
        whole.requested({"x": "y" * 100}, most_bytes=1000)
    assert refused.value.field == "params"


@pytest.mark.parametrize("path", ["x", None, [None], [True], [-1], [1.5], [["x"]], ["x"] * 33])
def test_a_placeholder_with_an_invalid_path_is_refused_with_its_path(path: Any) -> None:
    with pytest.raises(Refusal) as refused:
        trigger({"a": [0, {"get-in": path}]})
    assert refused.value.field == "task-request.params.a[1].get-in"


@given(st.dictionaries(_NAMES, values))
def test_lossless_json_round_trips_any_value(value: Any) -> None:
    assert lossless_json.read(lossless_json.write(lossless_json.read(json.dumps(value).encode()))) == value


def test_lossless_json_keeps_the_text_of_numbers() -> None:
    text = b'{"a":[1.10,1e5,-0.0,100,1E-7]}'
    assert lossless_json.write(lossless_json.read(text)) == text
