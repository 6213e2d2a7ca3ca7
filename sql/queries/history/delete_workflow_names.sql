-- Delete the names and notes of a partition's workflows, a batch at a time, except live parents' children.
-- Takes:   begins_at (null for no lower bound), ends_at, the bounds of the partition; after bigint, the seq after which
--          the batch begins (0 for the first); batch integer.
-- Returns: one row (last, kept): the next `after`, null when there are no more workflows; and the workflows of the
--          batch that must be kept, because their parents are live.
-- Touches: workflow_names, activities, workflow_signals; reads done_workflows, live_workflows.
with batch as materialized (
    select
        d.id, d.seq,
        -- A finished workflow is never live again: a row that need not be kept now need not be kept later.
        exists (select from fencepost.live_workflows as w where w.seq = d.parent_seq) as is_kept
    from fencepost.done_workflows as d
    where d.done_at >= coalesce(%(begins_at)s::timestamptz, '-infinity')
        and d.done_at < %(ends_at)s::timestamptz
        and d.seq > %(after)s::bigint
    order by d.seq
    limit %(batch)s::integer
),
forgotten as (
    delete from fencepost.workflow_names as n
    using batch as b
    -- An earlier, interrupted run may have freed the id, which then belongs to a newer workflow.
    where n.id = b.id and n.seq = b.seq and not b.is_kept
),
labels as (
    delete from fencepost.activities as a
    using batch as b
    -- A range, because the planner may join equal keys by reading the whole index.
    where a.workflow_seq between b.seq and b.seq and not b.is_kept
),
signals as (
    delete from fencepost.workflow_signals as s
    using batch as b
    where s.workflow_seq between b.seq and b.seq and not b.is_kept
)
select max(b.seq) as last, coalesce(array_agg(b.seq) filter (where b.is_kept), '{}') as kept
from batch as b
