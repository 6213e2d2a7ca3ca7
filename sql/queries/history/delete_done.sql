-- Delete old tasks in the default partition, and their names, a batch at a time.
-- Takes:   retention interval; batch integer; now.
-- Returns: one row (count), how many were deleted.
-- Touches: done_tasks_default, task_names; reads live_workflows, done_workflows.
with old as materialized (
    select d.ctid as place
    from fencepost.done_tasks_default as d
    where d.done_at < coalesce(%(now)s::timestamptz, statement_timestamp()) - %(retention)s::interval
        -- A task that was kept because of its workflow is deleted after that workflow, not as soon as the workflow
        -- ends.
        and not exists (select from fencepost.live_workflows as w where w.seq = d.workflow_seq)
        and not exists (select from fencepost.done_workflows as w where w.seq = d.workflow_seq)
    order by d.done_at
    limit %(batch)s::integer
    -- A task that is being retried is live once the retry commits.
    for update skip locked
),
gone as (
    delete from fencepost.done_tasks_default as d
    using old as o
    where d.ctid = o.place
    returning d.id, d.seq
),
forgotten as (
    delete from fencepost.task_names as n
    using gone as g
    where n.id in (g.id, ':' || left(g.id, 18)) and n.seq = g.seq
)
select count(*)::integer as count
from gone
