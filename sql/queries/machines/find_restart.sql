-- Find the action of a workflow that its worker restarted last.
-- Takes:   workflow_id.
-- Returns: (task_id), or no row.
-- Touches: nothing; reads machine_passes.
select p.task_id
from fencepost.machine_passes as p
where p.workflow_id = %(workflow_id)s::text
