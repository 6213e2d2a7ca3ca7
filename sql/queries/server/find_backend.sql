-- Find the backend that serves this connection; behind a pooler it is not the one that libpq knows.
-- Takes:   nothing.
-- Returns: one row (pid, started).
-- Touches: nothing; reads pg_stat_activity.
select a.pid, a.backend_start::text as started
from pg_stat_activity as a
where a.pid = pg_backend_pid()
