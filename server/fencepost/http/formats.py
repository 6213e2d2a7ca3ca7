"""Content negotiation: the format of a request and of its answer.

Internally everything is JSON text; YAML bodies and answers are converted at this boundary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

from fencepost.errors import NOT_ACCEPTABLE, UNSUPPORTED_MEDIA_TYPE, Refusal
from fencepost.notation import yaml, yaml_writer
from fencepost.notation.offload import offload


@dataclass(frozen=True, slots=True)
class Format:
    """A format: its media type, and the conversions to and from JSON (None for JSON itself)."""

    media_type: str
    to_json: Callable[..., bytes] | None
    from_json: Callable[[bytes], bytes] | None


JSON = Format("application/json", None, None)
_BY_TYPE = {
    "application/json": JSON,
    **{
        name: Format(name, yaml.to_json, yaml_writer.from_json)
        for name in ("text/yaml", "application/yaml", "application/x-yaml")
    },
}
# ASCII is a subset of UTF-8.
_CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii"}
_ANY = {"*/*", "application/*", "text/*"}


async def written(content: bytes, format: Format) -> bytes:
    """Return the JSON text of an answer in its format; a long one is converted in a thread."""
    if format.from_json is None:
        return content
    return await offload(len(content), partial(format.from_json, content))


@lru_cache(maxsize=256)
def request_format(content_type: str) -> Format:
    """Return the format of a body; raise Refusal (`unsupported-media-type`)."""
    media_type, _, parameters = content_type.partition(";")
    media_type = media_type.strip().lower()
    if (format := _BY_TYPE.get(media_type)) is not None:
        refuse_charset(parameters)
        return format
    hint = "send application/json or text/yaml"
    if media_type == "application/x-www-form-urlencoded":
        # Any web page can post a form to this server through a visitor's browser, but not JSON.
        hint = "curl -d sends a form unless told otherwise: add -H 'content-type: text/yaml' (or application/json)"
    raise Refusal(UNSUPPORTED_MEDIA_TYPE, content_type=content_type[:100], hint=hint)


def refuse_charset(parameters: str) -> None:
    """Raise Refusal (`unsupported-media-type`) if a media type has another charset than UTF-8."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and (charset := value.strip().strip('"').lower()) not in _CHARSETS:
            raise Refusal(UNSUPPORTED_MEDIA_TYPE, content_type=f"charset={charset[:40]}", hint="send the text in UTF-8")


@lru_cache(maxsize=256)
def answer_format(accept: str, of_request: Format) -> Format:
    """Return the format of the answer; raise Refusal (`not-acceptable`)."""
    ranges = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    if accept.strip() == "" or of_request.media_type in ranges:
        return of_request
    for wanted in ranges:
        if wanted in _BY_TYPE:
            return _BY_TYPE[wanted]
        if wanted == "*/*" or (wanted in _ANY and of_request.media_type.startswith(wanted[:-1])):
            return of_request
        if wanted in _ANY:
            return next(format for name, format in _BY_TYPE.items() if name.startswith(wanted[:-1]))
    raise Refusal(NOT_ACCEPTABLE, accept=accept[:100])


def format_of(pairs: Iterable[tuple[bytes, bytes]]) -> Format:
    """Return the answer's format for a request that is refused by its headers; JSON if in doubt."""
    headers = dict(pairs)
    return _formats(headers.get(b"content-type", b""), headers.get(b"accept", b""))[1]


def formats(headers: Mapping[bytes, bytes]) -> tuple[Format, Format]:
    """Return the formats of body and answer; raise Refusal (`unsupported-media-type`, `not-acceptable`)."""
    content_type, accept = headers.get(b"content-type", b""), headers.get(b"accept", b"")
    of_body, of_answer, is_known = _formats(content_type, accept)
    if not is_known:
        of_answer = answer_format(accept.decode("latin-1"), request_format(content_type.decode("latin-1")))
    return of_body, of_answer


@lru_cache(maxsize=256)
def _formats(content_type: bytes, accept: bytes) -> tuple[Format, Format, bool]:
    of_body, is_known = JSON, True
    try:
        of_body = request_format(content_type.decode("latin-1"))
    except Refusal:
        is_known = False
    try:
        return of_body, answer_format(accept.decode("latin-1"), of_body), is_known
    except Refusal:
        return of_body, JSON, False
