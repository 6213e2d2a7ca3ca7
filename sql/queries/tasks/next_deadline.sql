-- Find the time until the next deadline of a live task.
-- Takes:   now.
-- Returns: one row (due_in), in seconds, negative when it has passed, null when no task has a deadline.
-- Touches: nothing; reads live_tasks.
select extract(epoch from min(l.deadline_at) - coalesce(%(now)s::timestamptz, statement_timestamp()))::float8 as due_in
from fencepost.live_tasks as l
where l.deadline_at is not null
