"""Checks references to container images, as Docker's clients do: `hello-world`, `quay.io/tools/disk:v1`."""

from __future__ import annotations

import re

_HOST_PART = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"{_HOST_PART}(?:\.{_HOST_PART})*(?::[0-9]+)?")
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REST = re.compile(
    rf"(?P<path>{_PATH_PART}(?:/{_PATH_PART})*)"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(?:@(?P<algorithm>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*):(?P<hex>[0-9a-fA-F]{32,}))?"
)
_HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_ID = re.compile(r"[a-f0-9]{64}")
_LONGEST = 255


def is_image(text: str) -> bool:
    """Return whether a text is a valid image reference; without a host, the registry is Docker's own."""
    if _ID.fullmatch(text):
        return False
    host, slash, rest = text.partition("/")
    if not (slash and (host == "localhost" or "." in host or ":" in host)):
        host, rest = "docker.io", text if slash else f"library/{text}"
    found = _REST.fullmatch(rest)
    if found is None or not _HOST.fullmatch(host) or len(host) + 1 + len(found["path"]) > _LONGEST:
        return False
    algorithm = found["algorithm"]
    return algorithm is None or (
        (found["hex"].islower() or found["hex"].isdigit()) and _HEX_LENGTHS.get(algorithm) == len(found["hex"])
    )
