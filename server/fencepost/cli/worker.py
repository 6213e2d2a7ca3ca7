"""One of several server processes, started by `workers` and by nobody else: `python -m fencepost.cli.worker FD LEVEL`.

It inherits the listening socket as descriptor FD, reads its settings from stdin, where no list of processes shows the
secrets in them, and prints `ready`. The database is migrated, and the definitions are put.
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
    """Serve until a signal; a start that fails is one line on stderr and exit status 2, as of the command."""
    descriptor, level = sys.argv[1:]
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s worker %(process)d: %(message)s")
    settings = decode(sys.stdin.buffer.read())
    assert settings.database_url is not None
    with socket.socket(fileno=int(descriptor)) as listener:
        try:
            serve(settings, settings.database_url, listener, _tell_ready)
        except (StartRefused, Refusal) as refused:
            sys.stderr.write(f"fencepost: {refused}\n")
            sys.exit(2)


def encode(settings: Settings) -> bytes:
    """Return settings as the text that a worker reads."""
    return msgspec.json.encode(settings, enc_hook=str)


def decode(text: bytes) -> Settings:
    """Return the settings of `encode`."""
    return msgspec.json.decode(text, type=Settings, dec_hook=_made)


def _made(type: type, value: Any) -> Any:
    return type(value)  # a Path; everything else is known to JSON


def _tell_ready() -> None:
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
