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
# The same for the other end, where a lost connection keeps its locks until Postgres finds out.
SERVER_SIDE = (
    "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 -c tcp_user_timeout=15000"
    # No transaction of ours pauses; a database may close idle sessions, but ours are kept on purpose.
    " -c idle_in_transaction_session_timeout=60s -c idle_session_timeout=0"
)
_CONNECT_SECONDS = "5"
# Each host, and each address of a name, gets this long, and a caller waits for all of them.
_CONNECT_SECONDS_OF_SEVERAL = "2"


def with_limits(conninfo: str, options: str = SERVER_SIDE, *, writes: bool = True) -> str:
    """Return a conninfo with our time limits and session `options`; values that it has itself win.

    Values of the environment (PGCONNECT_TIMEOUT, PGOPTIONS) win as well. With `writes`, a primary is sought among
    several hosts. Raises psycopg.ProgrammingError.
    """
    given = conninfo_to_dict(conninfo)
    several = "," in str(given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST", ""))
    defaults = dict(_NETWORK)
    if "PGCONNECT_TIMEOUT" not in os.environ:
        defaults["connect_timeout"] = _CONNECT_SECONDS_OF_SEVERAL if several else _CONNECT_SECONDS
    if several and writes and "PGTARGETSESSIONATTRS" not in os.environ:
        defaults["target_session_attrs"] = "read-write"
    # The last of two values of one setting counts.
    theirs = given.pop("options", None) or os.environ.get("PGOPTIONS", "")
    return make_conninfo("", **{**defaults, **given, "options": f"{options} {theirs}".strip()})
