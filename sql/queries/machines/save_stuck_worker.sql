-- Keep that a worker repeats a report which a finished workflow does not take.
-- Takes:   workflow_id; task, action, worker; now.
-- Returns: (is_first), or none for a repeat that was kept less than half a minute ago, or when the history is gone.
-- Touches: machine_stuck; reads workflow_names.
insert into fencepost.machine_stuck as m (workflow_id, since, last_at, task, action, worker)
select n.id, s.now, s.now, %(task)s::text, %(action)s::text, %(worker)s::text
from fencepost.workflow_names as n
cross join (select coalesce(%(now)s::timestamptz, statement_timestamp()) as now) as s
where n.id = %(workflow_id)s::text
-- A deletion of its history waits for us, or there is no row any more.
for key share of n
-- Workers repeat themselves every three seconds: not every repeat is worth a write.
on conflict (workflow_id) do update set last_at = excluded.last_at
where m.last_at < excluded.last_at - interval '30 seconds'
returning m.since = m.last_at as is_first
