"""Which format a request is in, and which one its answer takes.

Inside everything is JSON text; a YAML body becomes JSON at this door, and an answer becomes YAML here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

from fencepost.errors import NOT_ACCEPTABLE, UNSUPPORTED_MEDIA_TYPE, Refusal
from fencepost.notation import yaml, yaml_writer
from fencepost.wire.beside import beside


@dataclass(frozen=True, slots=True)
class Format:
    """A format: its media type, and how it becomes JSON (None: it is JSON) and JSON becomes it."""

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
# ASCII is UTF-8 too.
_CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii"}
_ANY = {"*/*", "application/*", "text/*"}


async def written(content: bytes, format: Format) -> bytes:
    """Return an answer's JSON text in its format; a long one is written beside the event loop."""
    if format.from_json is None:
        return content
    return await beside(len(content), partial(format.from_json, content))


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
        # Any page on the web may post a form here with a reader's cookies and network; it may not post JSON.
        hint = "curl -d sends a form unless told otherwise: add -H 'content-type: text/yaml' (or application/json)"
    raise Refusal(UNSUPPORTED_MEDIA_TYPE, content_type=content_type[:100], hint=hint)


def refuse_charset(parameters: str) -> None:
    """Raise Refusal (`unsupported-media-type`) when the parameters of a media type name another charset than UTF-8."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and (charset := value.strip().strip('"').lower()) not in _CHARSETS:
            raise Refusal(UNSUPPORTED_MEDIA_TYPE, content_type=f"charset={charset[:40]}", hint="send the text in UTF-8")


@lru_cache(maxsize=256)
def answer_format(accept: str, of_request: Format) -> Format:
    """Return the format that an answer takes; raise Refusal (`not-acceptable`)."""
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
