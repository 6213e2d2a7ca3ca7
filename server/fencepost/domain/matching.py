"""Rules that match resources: those of triggers and subscriptions.

Numbers compare with numbers and texts with texts, by their code points; booleans and null are only ever equal. Values
of different kinds never match, and a missing path matches nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import orjson
from msgspec import Meta

from fencepost.domain.definition import Step
from fencepost.errors import invalid_params

Path = tuple[Step, ...]
Comparator = Literal["eq", "gt", "lt", "ge", "le"]
Scalar = str | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | float | bool | None

MISSING: Any = object()
# The value of an index key that stands for all values.
ANY_VALUE = 0
# Characters of JSON: an entry of the index has a limit.
_LONGEST_PATH = 500


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A comparison with the value at a path of the resource."""

    get_in: Annotated[Path, Meta(min_length=1, max_length=32, description="such as `[data, status]`")]
    comparator: Comparator
    value: Scalar


class IndexKey(NamedTuple):
    """The key by which events find a subscription: a path, JSON text, and the hash of its value, or ANY_VALUE."""

    path: str
    value: int


class _Subscription(msgspec.Struct, frozen=True, rename="kebab"):
    select_by: tuple[Rule, ...]


def matches(rules: Sequence[Rule], resource: Any) -> bool:
    """Return whether all rules hold for a parsed resource."""
    return all(_holds(rule, resource) for rule in rules)


def value_in(resource: Any, path: Sequence[str | int]) -> Any:
    """Return the value at a path in parsed JSON, MISSING when there is none."""
    value = resource
    for step in path:
        if isinstance(step, str):
            value = value.get(step, MISSING) if isinstance(value, dict) else MISSING
        else:
            value = value[step] if isinstance(value, list) and 0 <= step < len(value) else MISSING
        if value is MISSING:
            break
    return value


def read_rules(params: bytes) -> tuple[Rule, ...]:
    """Return the rules of a subscription from its params, which have been checked."""
    return _subscription.decode(params).select_by


def index_key_of(rules: Sequence[Rule]) -> IndexKey:
    """Return the index key of a subscription's rules; raise Refusal (`invalid-params`) for a path that is too long.

    The last rule of equality is used, since people write the most specific rule last.
    """
    number = max((n for n, rule in enumerate(rules) if rule.comparator == "eq"), default=len(rules) - 1)
    rule = rules[number]
    path = orjson.dumps(rule.get_in).decode()
    if len(path) > _LONGEST_PATH:
        raise invalid_params(
            f"the path of this rule has more than {_LONGEST_PATH} characters as JSON", f"select-by[{number}].get-in"
        )
    return IndexKey(path, _hash(rule.value) if rule.comparator == "eq" else ANY_VALUE)


def index_key_in(resource: Any, path: str) -> IndexKey | None:
    """Return a resource's index key at a path in JSON text, None when no rule can match the value there."""
    value = value_in(resource, orjson.loads(path))
    return None if _kind(value) is None else IndexKey(path, _hash(value))


def _holds(rule: Rule, resource: Any) -> bool:
    value, wanted = value_in(resource, rule.get_in), rule.value
    kind = _kind(value)
    if kind is None or kind != _kind(wanted):
        return False
    if rule.comparator == "eq":
        return bool(value == wanted)
    return kind in ("number", "text") and _is_ordered(value, rule.comparator, wanted)


def _is_ordered(value: Any, comparator: Comparator, wanted: Any) -> bool:
    match comparator:
        case "gt":
            return bool(value > wanted)
        case "ge":
            return bool(value >= wanted)
        case "lt":
            return bool(value < wanted)
        case _:
            return bool(value <= wanted)


def _kind(value: Any) -> str | None:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case _:
            return None


def _hash(value: Any) -> int:
    """Return 64 bits that equal values share: 1 and 1.0 are equal, 1 and true are not."""
    if isinstance(value, float):
        value = int(value) if value.is_integer() else float(value)
    said = repr((_kind(value), value)).encode()
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big", signed=True)


_subscription = msgspec.json.Decoder(_Subscription)
