-- Delete a batch of tasks of finished workflows, decisions included, with their log and their names.
-- Takes:   workflows bigint[]; batch integer.
-- Returns: one row (tasks, entries): how many tasks and log entries were deleted.
-- Touches: done_tasks, task_log, task_names; reads live_workflows.
with old as materialized (
    select t.seq, t.done_at
    from unnest(%(workflows)s::bigint[]) as w (seq)
    cross join lateral (
        select d.seq, d.done_at from fencepost.done_tasks as d where d.workflow_seq = w.seq offset 0
    ) as t
    where not exists (select from fencepost.live_workflows as l where l.seq = w.seq)
    limit %(batch)s::integer
),
gone as (
    delete from fencepost.done_tasks as d
    using old as o
    where d.seq between o.seq and o.seq and d.done_at between o.done_at and o.done_at
    returning d.id, d.seq, d.cancel_delivered_at,
        fencepost.lease_action(d.lease_entry, d.version - 1) as lease_action
),
logged as (
    delete from fencepost.task_log as g
    using gone as o
    where g.seq between o.seq and o.seq
    returning g.seq
),
forgotten as (
    delete from fencepost.task_names as n
    using gone as g
    where n.id in (g.id, ':' || left(g.id, 18)) and n.seq = g.seq
)
select
    count(*)::integer as tasks,
    -- The first and the last entries are stored in the task's row, not in task_log.
    (
        count(*) + count(*) + count(g.lease_action) + count(g.cancel_delivered_at) + (select count(*) from logged)
    )::integer as entries
from gone as g
