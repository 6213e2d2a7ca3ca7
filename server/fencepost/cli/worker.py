"""One of several server processes, started only by `workers`: `python -m fencepost.cli.worker FD LEVEL`.

It inherits the listening socket as descriptor FD, reads its settings from stdin, which keeps their secrets out of the
process list, and prints `ready`. Its parent has migrated the database and put the definitions.
"""

from __future__ import annotations

import logging
import socket
import sys
from typing import Any

import msgspec

from fencepost.cli.serving import serve
from fencepost.errors import Refusal, StartRefused
from fencepost.settings import Settings

READY = b"ready\n"


def main() -> None:
    """Serve until a signal; a failed start prints one line on stderr and exits with status 2, like the command."""
    descriptor, level = sys.argv[1:]
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s worker %(process)d: %(message)s")
    settings = decode(sys.stdin.buffer.read())
    assert settings.database_url is not None
    with socket.socket(fileno=int(descriptor)) as listener:
        try:
            serve(settings, settings.database_url, listener, _print_ready)
        except (StartRefused, Refusal) as refused:
            sys.stderr.write(f"fencepost: {refused}\n")
            sys.exit(2)


def encode(settings: Settings) -> bytes:
    """Return settings as the JSON that a worker reads."""
    return msgspec.json.encode(settings, enc_hook=str)


def decode(text: bytes) -> Settings:
    """Return the settings from the JSON of `encode`."""
    return msgspec.json.decode(text, type=Settings, dec_hook=_made)


def _made(type: type, value: Any) -> Any:
    return type(value)  # a Path, the only type that JSON does not have


def _print_ready() -> None:
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
