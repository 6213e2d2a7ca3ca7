-- Hide a workflow from machines and their lists.
-- Takes:   workflow_id; now.
-- Returns: (workflow_id); no row when it was hidden before, or when the workflow and its history are gone.
-- Touches: machine_deletions; reads workflow_names.
insert into fencepost.machine_deletions (workflow_id, at)
select n.id, coalesce(%(now)s::timestamptz, statement_timestamp())
from fencepost.workflow_names as n
where n.id = %(workflow_id)s::text
-- A deletion of the history waits for this lock; if the deletion was first, there is no row.
for key share of n
on conflict (workflow_id) do nothing
returning workflow_id
