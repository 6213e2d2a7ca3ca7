-- Find the outcome of a run, and a count of the changes of its activities.
-- Takes:   workflow_seq.
-- Returns: one row (outcome, changes); `changes` grows with each change of an activity.
-- Touches: nothing; reads activities, task_resources, workflow_resources.
select
    (select r.outcome from fencepost.workflow_resources as r where r.seq = %(workflow_seq)s::bigint) as outcome,
    coalesce(sum(v.version + 1), 0)::bigint as changes
from fencepost.activities as a
cross join lateral (
    select r.version from fencepost.task_resources as r where r.seq = a.seq and not a.is_workflow
    union all
    select r.version from fencepost.workflow_resources as r where r.seq = a.seq and a.is_workflow
    offset 0
) as v
where a.workflow_seq = %(workflow_seq)s::bigint
