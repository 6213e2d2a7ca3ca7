"""JSON Schema 2020-12 for payloads. Only this module imports the library that checks them.

A schema is user input. References to other documents are refused, and patterns run in linear time. A check that is
surely short runs here. Any other raises Deferred: the caller runs it in a subprocess with limits of time and memory
(`engine/checks.py`, `domain/schema_process.py`), and calls again under `answered`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import jsonschema_rs
import msgspec
import orjson

from fencepost.domain.schema_size import size_of
from fencepost.errors import FieldError, field_of, invalid_params, join_fields

# A pattern compiles to at most this many bytes; the library's own default is larger than any honest pattern needs.
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=1 << 20, dfa_size_limit=1 << 20)
# Limits of patterns outside of schemas. A search costs at most the product of both lengths.
_SHORT_PATTERN = jsonschema_rs.RegexOptions(size_limit=1 << 16, dfa_size_limit=1 << 18)
_LONGEST_PATTERN, _LONGEST_SEARCHED = 300, 10_000
_MOST_ERRORS = 20
_LONGEST_MESSAGE = 300
_LONGEST_PATH = 500
_DIALECT = "https://json-schema.org/draft/2020-12/schema"

# Limits of a definition's schema in the units of `Size`: at one place of the value, and with all references unfolded.
MOST_HERE = 10_000
_MOST_UNFOLDED = 1_000_000
# Limits, in bytes and units, of schemas that are compiled and checked here: together at most 5 ms of work.
_SHORT_TEXT = 16_384
_SHORT_SCHEMA = 5_000
_SHORT_PATTERNS = 2_000
_SHORT_CHECK = 500_000
# Listing errors costs up to a microsecond for each unit, and memory.
_SHORT_LIST = 50_000


class Fault(msgspec.Struct, frozen=True):
    """An error: a message, and a field of the schema or the payload."""

    message: str
    field: str = ""


class Question(NamedTuple):
    """A check that may be long: of a payload against a schema, both as text; with None, of the schema itself.

    Its answer is a list of faults.
    """

    schema: bytes
    payload: bytes | None


class Deferred(Exception):
    """The question must be answered by a subprocess first."""

    def __init__(self, question: Question) -> None:
        super().__init__("work on a schema that may be long")
        self.question = question


@contextmanager
def answered(answers: Mapping[Question, list[Fault]]) -> Iterator[None]:
    """Give checks in the block the answers of subprocesses."""
    token = _answers.set(answers)
    try:
        yield
    finally:
        _answers.reset(token)


class Schema:
    """A schema, compiled when it is first needed; in this process only if that is surely short."""

    def __init__(self, document: Any, *, field: str) -> None:
        self._document = document
        self._field = field

    def declare(self) -> None:
        """Raise Refusal (`invalid-params`) when the schema is invalid or too complex; may raise Deferred."""
        faults = find_faults(self._document) if self._is_short else _answer(Question(self._text, None))
        if faults:
            raise invalid_params(faults[0].message, join_fields(self._field, faults[0].field))

    def check(self, payload: bytes | None, *, field: str) -> None:
        """Raise Refusal (`invalid-params`, one entry of `errors` a fault) when the JSON text does not fit.

        May raise Deferred.
        """
        text = payload or b"{}"
        work = self._total + len(text) * self._per_byte
        if work > _SHORT_CHECK:
            faults = _answer(Question(self._text, text))
        else:
            value = orjson.loads(text)
            if self._validator.is_valid(value):
                return
            faults = list_faults(self._validator, value) if work <= _SHORT_LIST else _answer(Question(self._text, text))
        if faults:
            errors = [FieldError(join_fields(field, fault.field), fault.message) for fault in faults]
            raise invalid_params(errors[0].message, errors[0].field, errors)

    @cached_property
    def _text(self) -> bytes:
        return orjson.dumps(self._document)

    @cached_property
    def _work(self) -> tuple[int, int] | None:
        """The cost of a check: its units, and those for each byte of the payload; None when it may take long."""
        if len(self._text) > _SHORT_TEXT:
            return None
        size = size_of(self._document, most_here=MOST_HERE)
        is_short = size.total <= _SHORT_SCHEMA and size.patterns <= _SHORT_PATTERNS and not size.open
        return (size.total, size.per_byte) if is_short else None

    @property
    def _is_short(self) -> bool:
        return self._work is not None

    @cached_property
    def _total(self) -> int:
        return _SHORT_CHECK + 1 if self._work is None else self._work[0]

    @cached_property
    def _per_byte(self) -> int:
        return 0 if self._work is None else self._work[1]

    @cached_property
    def _validator(self) -> jsonschema_rs.Draft202012Validator:
        try:
            return compile_schema(self._document)
        except NotASchema as error:
            raise invalid_params(str(error), self._field) from error


class NotASchema(Exception):
    """The document is not a JSON Schema, or one that is not supported."""


def find_faults(document: Any) -> list[Fault]:
    """Return the faults of a schema: it is invalid, or too complex."""
    size = size_of(document, most_here=MOST_HERE)
    if size.largest > MOST_HERE:
        reason = f"with its references unfolded, more than {MOST_HERE} keywords are checked against one value here"
        return [Fault(f"the schema is too complex: {reason}", field_of(_shortened(size.path)))]
    if size.total > _MOST_UNFOLDED:
        return [Fault(f"the schema is too complex: unfolded, it has more than {_MOST_UNFOLDED} keywords")]
    try:
        compile_schema(document)
    except NotASchema as error:
        return [Fault(str(error))]
    return []


def compile_schema(document: Any) -> jsonschema_rs.Draft202012Validator:
    """Compile a schema; raise NotASchema."""
    if isinstance(document, dict) and document.get("$schema", _DIALECT) != _DIALECT:
        raise NotASchema(f"not a JSON Schema that can be used: $schema must be {_DIALECT}")
    try:
        return jsonschema_rs.Draft202012Validator(
            document, offline=True, pattern_options=_PATTERNS, validate_formats=True
        )
    except (jsonschema_rs.ReferencingError, ValueError, TypeError) as error:
        raise NotASchema(f"not a JSON Schema that can be used: {_short(_first_line(error))}") from error


def list_faults(validator: jsonschema_rs.Draft202012Validator, value: Any) -> list[Fault]:
    """Return the first faults of a value that does not fit, at least one."""
    found = islice(validator.iter_errors(value), _MOST_ERRORS)
    return [Fault(_short(fault.message), _field(fault.instance_path)) for fault in found] or [Fault(DOES_NOT_FIT)]


DOES_NOT_FIT = "it does not fit its schema"

_answers: ContextVar[Mapping[Question, list[Fault]]] = ContextVar("answers", default={})  # noqa: B039 never changed


def _answer(question: Question) -> list[Fault]:
    """Return the answer of a subprocess; raise Deferred when there is none yet."""
    answers = _answers.get()
    if question not in answers:
        raise Deferred(question)
    return answers[question]


def _short(message: str) -> str:
    """Cut a long message, which may contain the payload."""
    return message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 1] + "…"


def _field(parts: list[str | int]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{_short(part)}" for part in parts)
    return field_of(_shortened(path))


def _shortened(path: str) -> str:
    return path if len(path) <= _LONGEST_PATH else path[: _LONGEST_PATH - 1] + "…"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def has_pattern(text: str, pattern: str) -> bool:
    """Return whether a pattern matches anywhere in a text, in linear time; raise ValueError if it is unusable."""
    if len(pattern) > _LONGEST_PATTERN or len(text) > _LONGEST_SEARCHED:
        raise ValueError(f"a pattern has at most {_LONGEST_PATTERN} characters, and the text {_LONGEST_SEARCHED}")
    try:
        validator = jsonschema_rs.validator_for({"pattern": pattern}, offline=True, pattern_options=_SHORT_PATTERN)
    except jsonschema_rs.ValidationError:
        raise ValueError(f"{pattern!r} is not a pattern, or too large a one") from None
    return bool(validator.is_valid(text))
