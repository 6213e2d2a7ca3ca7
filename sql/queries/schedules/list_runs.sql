-- List the run history of a schedule, newest first.
-- Takes:   name; size integer.
-- Returns: per run (due_at, until_at, kind, status, reason, message, reference, id, at).
-- Touches: nothing; reads schedule_starts.
select t.due_at, t.until_at, t.kind, t.status, t.reason, t.message, t.reference, t.id, t.at
from fencepost.schedule_starts as t
where t.name = %(name)s::text
order by t.seq desc
limit %(size)s::integer
