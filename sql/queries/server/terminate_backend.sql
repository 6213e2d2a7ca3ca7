-- Terminate a backend whose connection was lost: it may hold locks, and notices the loss only later.
-- Takes:   pid int, started text.
-- Returns: one row (ended), or no row when it is gone.
-- Touches: the backend, if it still is the one that started at this time.
select pg_terminate_backend(a.pid) as ended
from pg_stat_activity as a
where a.pid = %(pid)s::integer and a.backend_start::text = %(started)s::text
