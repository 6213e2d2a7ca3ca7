-- Delete old workflows in the default partition, with names and notes, a batch at a time.
-- Takes:   retention interval; batch integer; now.
-- Returns: one row (count), how many were deleted.
-- Touches: done_workflows_default, workflow_names, activities, workflow_signals; reads live_workflows, done_workflows.
with old as materialized (
    select d.ctid as place
    from fencepost.done_workflows_default as d
    where d.done_at < coalesce(%(now)s::timestamptz, statement_timestamp()) - %(retention)s::interval
        -- A child that was kept because of its parent is deleted after the parent.
        and not exists (select from fencepost.live_workflows as w where w.seq = d.parent_seq)
        and not exists (select from fencepost.done_workflows as w where w.seq = d.parent_seq)
    order by d.done_at
    limit %(batch)s::integer
    for update skip locked
),
gone as (
    delete from fencepost.done_workflows_default as d
    using old as o
    where d.ctid = o.place
    returning d.id, d.seq
),
forgotten as (
    delete from fencepost.workflow_names as n
    using gone as g
    where n.id = g.id and n.seq = g.seq
),
labels as (
    delete from fencepost.activities as a
    using gone as g
    -- A range, because the planner may join equal keys by reading the whole index.
    where a.workflow_seq between g.seq and g.seq
),
signals as (
    delete from fencepost.workflow_signals as s
    using gone as g
    where s.workflow_seq between g.seq and g.seq
)
select count(*)::integer as count
from gone
