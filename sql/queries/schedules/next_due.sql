-- Find the time until the next start of a schedule.
-- Takes:   now.
-- Returns: one row (due_in), in seconds, negative when it has passed, null when there is none.
-- Touches: nothing; reads schedules.
select extract(epoch from min(s.starts_at) - coalesce(%(now)s::timestamptz, statement_timestamp()))::float8 as due_in
from fencepost.schedules as s
