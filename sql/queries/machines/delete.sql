-- Show a workflow to machines no longer.
-- Takes:   workflow_id; now.
-- Returns: (workflow_id), or none when that was done before, or the workflow and its history are gone.
-- Touches: machine_deletions; reads workflow_names.
insert into fencepost.machine_deletions (workflow_id, at)
select n.id, coalesce(%(now)s::timestamptz, statement_timestamp())
from fencepost.workflow_names as n
where n.id = %(workflow_id)s::text
-- Whoever deletes its history waits, or we do, and then there is no row.
for key share of n
on conflict (workflow_id) do nothing
returning workflow_id
