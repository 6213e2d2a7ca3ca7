-- The workflows that tasks belong to, and what the tasks said that failed.
-- Takes:   tasks bigint[], the numbers of tasks.
-- Returns: per task that belongs to one (workflow_seq, message or null).
-- Touches: nothing; reads task_resources.
select r.workflow_seq, r.error ->> 'message' as message
from unnest(%(tasks)s::bigint[]) as t (seq)
cross join lateral (
    select r.workflow_seq, r.error from fencepost.task_resources as r where r.seq = t.seq offset 0
) as r
where r.workflow_seq is not null
