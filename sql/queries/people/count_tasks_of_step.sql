-- Count the tasks of a list for a step.
-- Takes:   workflow_seq bigint, the list; step, its code.
-- Returns: one row (count, seq); `seq` is that of the first such task, null when there is none.
-- Touches: nothing; reads activities, task_resources.
select count(*) as count, min(a.seq) as seq
from fencepost.activities as a
cross join lateral (
    select r.params from fencepost.task_resources as r where r.seq = a.seq offset 0
) as t
where a.workflow_seq = %(workflow_seq)s::bigint and not a.is_workflow and a.label ~ '^line/[0-9]+$'
    and t.params ->> 'processStep' = %(step)s::text
