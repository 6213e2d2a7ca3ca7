-- Save which running action of a workflow its worker has restarted.
-- Takes:   workflow_id; task_id.
-- Returns: (workflow_id), or no row when this was saved before.
-- Touches: machine_passes; reads workflow_names.
insert into fencepost.machine_passes as p (workflow_id, task_id)
select n.id, %(task_id)s::text
from fencepost.workflow_names as n
where n.id = %(workflow_id)s::text
-- A deletion of the history waits for this lock; if the deletion was first, there is no row.
for key share of n
on conflict (workflow_id) do update set task_id = excluded.task_id
where p.task_id <> excluded.task_id
returning p.workflow_id
