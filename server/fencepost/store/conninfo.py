"""How every connection to Postgres is opened: with time limits, so that none waits for a network that went silent."""

from __future__ import annotations

import os

from psycopg.conninfo import conninfo_to_dict, make_conninfo

# A fail-over without a reset, or a cut cable, closes nothing: without these, Linux waits up to 15 minutes for an
# acknowledgement, and for ever on a connection that has nothing to send.
_NETWORK = {
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
_CONNECT_SECONDS = "5"
# Each host, and each address of a name, gets this long, and a caller waits for all of them.
_CONNECT_SECONDS_OF_SEVERAL = "2"


def with_limits(conninfo: str, *, writes: bool = True) -> str:
    """Return a conninfo with our time limits; values that it has itself win.

    Values of the environment (PGCONNECT_TIMEOUT, PGAPPNAME) win as well. With `writes`, a primary is sought among
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
