-- Keep which running action of a workflow its worker begins again.
-- Takes:   workflow_id; task_id.
-- Returns: nothing.
-- Touches: machine_passes; reads workflow_names.
insert into fencepost.machine_passes as p (workflow_id, task_id)
select n.id, %(task_id)s::text
from fencepost.workflow_names as n
where n.id = %(workflow_id)s::text
-- A deletion of its history waits for us, or there is no row any more.
for key share of n
on conflict (workflow_id) do update set task_id = excluded.task_id
where p.task_id <> excluded.task_id
returning p.workflow_id
