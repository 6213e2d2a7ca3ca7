"""Time limits of every connection to Postgres, so that none waits for ever for a silent network."""

from __future__ import annotations

import os

from psycopg.conninfo import conninfo_to_dict, make_conninfo

# A fail-over without a reset, or a cut cable, closes no connection: without these, Linux waits up to 15 minutes for an
# acknowledgement, and for ever on a connection that has nothing to send.
_NETWORK = {
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
_CONNECT_SECONDS = "5"
# Seconds for each host and each address of a name; a caller waits for all of them.
_CONNECT_SECONDS_OF_SEVERAL = "2"


def with_limits(conninfo: str, *, writes: bool = True) -> str:
    """Return a conninfo with our time limits; values that it already has win.

    Values of the environment (PGCONNECT_TIMEOUT, PGAPPNAME) win too. With `writes`, libpq looks for a primary among
    several hosts. Raises psycopg.ProgrammingError.
    """
    given = conninfo_to_dict(conninfo)
    several = "," in str(given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST", ""))
    defaults = {**_NETWORK, "fallback_application_name": "fencepost"}
    if "PGCONNECT_TIMEOUT" not in os.environ:
        defaults["connect_timeout"] = _CONNECT_SECONDS_OF_SEVERAL if several else _CONNECT_SECONDS
    if several and writes and "PGTARGETSESSIONATTRS" not in os.environ:
        defaults["target_session_attrs"] = "read-write"
    return make_conninfo("", **{**defaults, **given})
