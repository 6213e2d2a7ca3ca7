"""Reads the parameters of a URL; an unknown one is refused by name."""

from __future__ import annotations

import re

from starlette.datastructures import QueryParams
from starlette.requests import Request

from fencepost.errors import invalid_params

# Some vocabularies accept any text as an id, but Postgres cannot compare a text with a NUL.
ID = re.compile(r"[^\0]{1,64}")


def words(query: QueryParams, *names: str, known: tuple[str, ...] | None = None) -> list[str] | None:
    """Return the values of a comma-separated parameter, under the first of its names that is present."""
    for name in names:
        if name in query:
            words = [word for value in query.getlist(name) for word in value.split(",")]
            for word in words:
                if "\x00" in word:
                    raise invalid_params("a NUL character", name)
                if known is not None and word not in known:
                    raise invalid_params(f"Expected one of {', '.join(known)}; got {word[:40]!r}", name)
            return words
    return None


def number(query: QueryParams, name: str, default: int, most: int) -> int:
    """Return an integer parameter; raise Refusal (`invalid-params`)."""
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= most):
        raise invalid_params(f"Expected a whole number from 0 to {most}, got {text[:40]!r}", name)
    return int(text)


def refuse_unknown(query: QueryParams, known: set[str]) -> None:
    """Raise Refusal (`invalid-params`) for an unknown parameter."""
    for name in query:
        if name not in known:
            raise invalid_params(
                f"there is no parameter {name[:100]!r}; there are {', '.join(sorted(known))}", name[:100]
            )


def url_with(request: Request, **changes: str) -> str:
    """Return the URL of a request with other parameters."""
    url = request.url.include_query_params(**changes)
    return f"{url.path}?{url.query}"
