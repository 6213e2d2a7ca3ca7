-- Find the time-limit timer of a workflow, if it has not started.
-- Takes:   workflow_seq.
-- Returns: (id), or no row.
-- Touches: nothing; reads live_tasks.
select l.id
from fencepost.live_tasks as l
where l.workflow_seq = %(workflow_seq)s::bigint and l.definition = 'awf.machine/time-limit' and l.status = 'ready'
