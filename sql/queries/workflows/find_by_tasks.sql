-- Find the workflows that tasks belong to, with the error messages of the tasks.
-- Takes:   tasks bigint[].
-- Returns: per task that belongs to a workflow (workflow_seq, message or null).
-- Touches: nothing; reads task_resources.
select r.workflow_seq, r.error ->> 'message' as message
from unnest(%(tasks)s::bigint[]) as t (seq)
cross join lateral (
    select r.workflow_seq, r.error from fencepost.task_resources as r where r.seq = t.seq offset 0
) as r
where r.workflow_seq is not null
