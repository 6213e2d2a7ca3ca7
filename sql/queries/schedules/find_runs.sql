-- Find the runs of some due times of a schedule, and a manual run by its id.
-- Takes:   name; due_ats timestamptz[]; id, null for none.
-- Returns: per run (due_at, until_at, kind, status, reason, message, reference, id, at), by due time.
-- Touches: nothing; reads schedule_starts.
select t.due_at, t.until_at, t.kind, t.status, t.reason, t.message, t.reference, t.id, t.at
from fencepost.schedule_starts as t
where t.name = %(name)s::text
    and t.due_at = any(%(due_ats)s::timestamptz[])
    and t.status = 'started'
    and t.kind in ('scheduled', 'backfill')
union all
select t.due_at, t.until_at, t.kind, t.status, t.reason, t.message, t.reference, t.id, t.at
from fencepost.schedule_starts as t
where t.name = %(name)s::text
    and t.id = %(id)s::text
    and t.kind = 'manual'
order by due_at
