"""Idle long polls: connections that poll for work which never arrives. Runs as a separate process.

`python -m bench.loads.idlers HOST PORT COUNT` prints a line when all polls are sent, and holds them until stdin ends.
Then it prints the number of polls that were answered or cut, which should be 0.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys

_WAIT_MS = 600_000
# Connections that are opened at once: the backlog of a listener is limited.
_AT_ONCE = 200


class _Poll(asyncio.Protocol):
    ended = 0

    def data_received(self, data: bytes) -> None:
        """Count an unexpected answer."""
        _Poll.ended += 1

    def connection_lost(self, error: Exception | None) -> None:
        """Count an unexpected disconnect."""
        _Poll.ended += 1


async def _hold(host: str, port: int, count: int) -> None:
    loop = asyncio.get_running_loop()
    params = {"taskDefinitions": ["bench/idle"], "timeout": _WAIT_MS, "start": True}
    body = json.dumps({"method": "awf.task/long-poll", "params": params}).encode()
    lines = ("POST /rpc HTTP/1.1", "host: localhost", "content-type: application/json", f"content-length: {len(body)}")
    head = "\r\n".join((*lines, "", ""))
    gate = asyncio.Semaphore(_AT_ONCE)

    async def connect() -> asyncio.BaseTransport:
        async with gate:
            transport, _ = await loop.create_connection(_Poll, host, port)
        transport.write(head.encode() + body)
        return transport

    transports = await asyncio.gather(*(connect() for _ in range(count)))
    print("polling", flush=True)  # noqa: T201 to the harness
    await loop.run_in_executor(None, sys.stdin.read)
    print(_Poll.ended, flush=True)  # noqa: T201
    for transport in transports:
        transport.close()


def raise_file_limit() -> None:
    """Raise the limit of open files of this process and its children to the hard limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    raise_file_limit()
    asyncio.run(_hold(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
