-- Save that a worker repeats a report which its finished workflow refuses.
-- Takes:   workflow_id; task, action, worker; now.
-- Returns: (is_first); no row for a repeat less than half a minute after the last saved one, or when the history is
--          gone.
-- Touches: machine_stuck; reads workflow_names.
insert into fencepost.machine_stuck as m (workflow_id, since, last_at, task, action, worker)
select n.id, s.now, s.now, %(task)s::text, %(action)s::text, %(worker)s::text
from fencepost.workflow_names as n
cross join (select coalesce(%(now)s::timestamptz, statement_timestamp()) as now) as s
where n.id = %(workflow_id)s::text
-- A deletion of the history waits for this lock; if the deletion was first, there is no row.
for key share of n
-- Workers repeat the report every three seconds; one write in 30 seconds is enough.
on conflict (workflow_id) do update set last_at = excluded.last_at
where m.last_at < excluded.last_at - interval '30 seconds'
returning m.since = m.last_at as is_first
