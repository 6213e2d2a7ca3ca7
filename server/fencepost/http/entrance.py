"""Access control for handlers of plain HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from fencepost.http.admission import Admission

Handler = Callable[[Request], Awaitable[Response]]


class Entrance(NamedTuple):
    """Wrappers for handlers: `known` needs credentials and sets `request.state.caller`, `open` needs none.

    Both answer an unexpected exception as `internal-error`. A WebSocket route checks its caller with `door` itself.
    """

    known: Callable[[Handler], Handler]
    open: Callable[[Handler], Handler]
    admission: Admission
