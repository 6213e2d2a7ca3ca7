"""The settings of every session, which override those of the database, the role and a pooler.

One statement sets them after connecting. The `options` of a connection's start would do the same, but a pooler refuses
them or drops them silently.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache

from psycopg.conninfo import conninfo_to_dict

# With other values, statements and their results mean something else: these are always overridden.
_MEANING = {
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "quote_all_identifiers": "off",
    # Our tables are always named with their schema; functions and operators must be those of Postgres.
    "search_path": "pg_catalog, pg_temp",
    # Guards assume that each statement sees what was committed before it began.
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    # With `replica`, foreign keys are not checked; with row security, a policy could hide tasks from the server.
    "session_replication_role": "origin",
    "row_security": "off",
    "gin_fuzzy_search_limit": "0",
    "restrict_nonsystem_relation_kind": "",
    "exit_on_error": "off",
    # A commit that was acknowledged is on disk.
    "synchronous_commit": "on",
}
# The statements are written for their indexes. A plan that was cached while a table was empty must not scan the table
# when it has a million rows.
_PLANS = {
    "jit": "off",
    "enable_seqscan": "off",
    "enable_indexscan": "on",
    "enable_indexonlyscan": "on",
    "enable_bitmapscan": "on",
    "enable_nestloop": "on",
    "enable_partition_pruning": "on",
    # Planning a statement of this kind takes as long as running it for one call; the plans do not depend on the values.
    "plan_cache_mode": "force_generic_plan",
}
# The backend of a lost connection keeps its locks until Postgres notices the loss.
_NETWORK = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15000",
    # A database may close idle sessions; ours are idle on purpose.
    "idle_session_timeout": "0",
}
# A statement that waits longer blocks a thread that others need. No transaction of the server pauses.
_PATIENCE = {
    "lock_timeout": "20s",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
    "transaction_timeout": "0",
}
_NO_HURRY = dict.fromkeys(_PATIENCE, "0")

SERVING: Mapping[str, str] = {**_MEANING, **_NETWORK, **_PATIENCE, **_PLANS}
MIGRATING: Mapping[str, str] = {**_MEANING, **_NETWORK, **_NO_HURRY}
# For statements that users wrote: these use the search path and the isolation level of their role.
_WRITTEN = ("datestyle", "intervalstyle", "timezone", "bytea_output", "extra_float_digits")
READING: Mapping[str, str] = {
    **{name: _MEANING[name] for name in ("client_encoding", "standard_conforming_strings", *_WRITTEN)},
    **_NETWORK,
    "idle_in_transaction_session_timeout": "60s",
}

# Only settings with another value are set: some may be changed by superusers only, even to the same value. A setting
# that this version of Postgres does not know is skipped.
_SET = (
    "select pg_catalog.set_config(s.name, s.value, false) from (values {settings}) as s(name, value)"
    " where pg_catalog.current_setting(s.name, true) <> s.value"
    " and (s.name, pg_catalog.current_setting(s.name, true)) <> ('synchronous_commit', 'remote_apply');"
    # A pooler may hand on a session in which another client prepared statements with the same names.
    " deallocate all"
)
_OPTION = re.compile(r"(?:-c\s*|--)([A-Za-z_][\w.-]*)\s*=")


def statement_for(conninfo: str, settings: Mapping[str, str] = SERVING) -> bytes:
    """Return the statement that sets up the session of a connection to `conninfo`.

    Limits and planner settings in the `options` of the conninfo or in PGOPTIONS win; those that change results do not.
    """
    options = conninfo_to_dict(conninfo).get("options") or os.environ.get("PGOPTIONS", "")
    named = {name.lower().replace("-", "_") for name in _OPTION.findall(str(options))}
    return _statement(tuple((name, value) for name, value in settings.items() if name in _MEANING or name not in named))


def local_settings(settings: Mapping[str, str]) -> str:
    """Return select expressions that set these settings for one transaction."""
    return ", ".join(f"pg_catalog.set_config('{name}', '{value}', true)" for name, value in settings.items())


@cache
def _statement(settings: tuple[tuple[str, str], ...]) -> bytes:
    return _SET.format(settings=", ".join(f"('{name}', '{value}')" for name, value in settings)).encode()
