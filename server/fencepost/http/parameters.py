"""Parameters of a URL and of the head of a request: each is declared once, for the handler and for OpenAPI."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from starlette.datastructures import Headers, QueryParams
from starlette.requests import HTTPConnection

from fencepost.domain.times import time_text
from fencepost.errors import Verbatim, invalid_params

# Some vocabularies accept any text as an id, but Postgres cannot compare a text with a NUL.
ID = re.compile(r"[^\0]{1,64}")


@dataclass(frozen=True)
class Parameter:
    """A parameter: its name, and a description for OpenAPI."""

    place: ClassVar[str] = "query"
    # Whether the value is a list, separated by commas.
    is_list: ClassVar[bool] = False

    name: str
    description: str
    required: bool = False

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON schema of the value."""
        return {"type": "string"}


@dataclass(frozen=True)
class Text(Parameter):
    """A text; `known` are its values, if it has a closed list of them."""

    known: tuple[str, ...] = ()

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON schema of the value."""
        return {"enum": list(self.known)} if self.known else {"type": "string"}

    def read(self, query: QueryParams) -> str | None:
        """Return the value, None if it is absent; raise Refusal (`invalid-params`) for one that is not known."""
        text = query.get(self.name)
        if self.known and text is not None and text not in self.known:
            raise invalid_params(f"Expected {' or '.join(self.known)}; got {text[:40]!r}", Verbatim(self.name))
        return text


@dataclass(frozen=True)
class Time(Parameter):
    """An ISO-8601 time."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON schema of the value."""
        return {"type": "string", "format": "date-time"}

    def read(self, query: QueryParams) -> str | None:
        """Return the time in UTC, None if it is absent; raise Refusal (`invalid-params`)."""
        return time_text(query.get(self.name), Verbatim(self.name))


@dataclass(frozen=True)
class Number(Parameter):
    """A whole number from 0 to `most`."""

    default: int = 0
    most: int = 2**31 - 1

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON schema of the value."""
        return {"type": "integer", "minimum": 0, "maximum": self.most, "default": self.default}

    def read(self, query: QueryParams) -> int:
        """Return the value; raise Refusal (`invalid-params`)."""
        text = query.get(self.name, str(self.default))
        if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= self.most):
            raise invalid_params(
                f"Expected a whole number from 0 to {self.most}, got {text[:40]!r}", Verbatim(self.name)
            )
        return int(text)


@dataclass(frozen=True)
class Words(Parameter):
    """Words, separated by commas; `known` are those that exist, if there is a closed list."""

    is_list: ClassVar[bool] = True

    known: tuple[str, ...] = ()

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON schema of the value."""
        item = {"enum": list(self.known)} if self.known else {"type": "string"}
        return {"type": "array", "items": item, "minItems": 1}

    def read(self, query: QueryParams) -> list[str] | None:
        """Return the words, None if the parameter is absent; raise Refusal (`invalid-params`)."""
        if self.name not in query:
            return None
        words = [word for value in query.getlist(self.name) for word in value.split(",")]
        for word in words:
            if "\x00" in word:
                raise invalid_params("a NUL character", Verbatim(self.name))
            if self.known and word not in self.known:
                raise invalid_params(f"Expected one of {', '.join(self.known)}; got {word[:40]!r}", Verbatim(self.name))
        return words


@dataclass(frozen=True)
class Header(Parameter):
    """A header."""

    place: ClassVar[str] = "header"

    def read(self, headers: Headers) -> str | None:
        """Return the value, None if it is absent or empty."""
        return headers.get(self.name) or None


def refuse_unknown(query: QueryParams, parameters: Iterable[Parameter]) -> None:
    """Raise Refusal (`invalid-params`) for a parameter of the URL that is not among these."""
    known = {parameter.name for parameter in parameters if parameter.place == "query"}
    for name in query:
        if known and name not in known:
            raise invalid_params(
                f"there is no parameter {name[:100]!r}; there are {', '.join(sorted(known))}", Verbatim(name[:100])
            )


def url_with(connection: HTTPConnection, **changes: str) -> str:
    """Return the path and the query of a request, with other parameters."""
    url = connection.url.include_query_params(**changes)
    return f"{url.path}?{url.query}"
