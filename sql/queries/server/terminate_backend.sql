-- End a backend whose connection was lost: it may hold locks, and finds out by itself only later.
-- Takes:   pid int, started text.
-- Returns: one row (ended), none when it is gone.
-- Touches: the backend, if it is the one that was meant.
select pg_terminate_backend(a.pid) as ended
from pg_stat_activity as a
where a.pid = %(pid)s::integer and a.backend_start::text = %(started)s::text
