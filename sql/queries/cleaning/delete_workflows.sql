-- Delete finished workflows, with their names and the labels under which they were started.
-- Takes:   workflows bigint[].
-- Returns: one row (count), how many were deleted.
-- Touches: done_workflows, workflow_names, activities. Run when delete_activities.sql and delete_labels.sql find
--          nothing more.
with gone as (
    delete from fencepost.done_workflows as d
    using unnest(%(workflows)s::bigint[]) as w (seq)
    -- A range, because the planner may join equal keys by reading the whole index.
    where d.seq between w.seq and w.seq
    returning d.seq, d.id, d.parent_seq, d.label
),
forgotten as (
    delete from fencepost.workflow_names as n
    using gone as g
    where n.id = g.id and n.seq = g.seq
),
labels as (
    delete from fencepost.activities as a
    using (
        select g.parent_seq as workflow_seq, g.label from gone as g
        union
        -- Labels of children that an earlier run deleted by another rule.
        select n.workflow_seq, n.label
        from gone as g
        cross join lateral (
            select a.workflow_seq, a.label from fencepost.activities as a where a.workflow_seq = g.seq offset 0
        ) as n
    ) as n
    where a.workflow_seq between n.workflow_seq and n.workflow_seq and a.label = n.label
)
select count(*)::integer as count
from gone
