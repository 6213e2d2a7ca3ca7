-- Find the time limit of a workflow, if nothing has started it.
-- Takes:   workflow_seq.
-- Returns: (id), or none.
-- Touches: nothing; reads live_tasks.
select l.id
from fencepost.live_tasks as l
where l.workflow_seq = %(workflow_seq)s::bigint and l.definition = 'awf.machine/time-limit' and l.status = 'ready'
