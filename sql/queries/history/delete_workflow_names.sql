-- Let the names and notes of a partition's workflows go, a batch at a time; children of live workflows are kept.
-- Takes:   begins_at (null when it has no beginning), ends_at, the bounds of the partition; after bigint, the seq to go on
--          behind (0 to begin); batch integer.
-- Returns: one row (last, kept): the seq to go on behind, null when there are no more workflows; and those of the batch
--          whose parents are live, so that they must not go.
-- Touches: workflow_names, activities, workflow_signals; reads done_workflows, live_workflows.
with batch as materialized (
    select
        d.id, d.seq,
        -- A workflow that is over stays so: who is not kept now need not be later.
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
    -- An earlier run, cut off, may have let the id go, and then it belongs to a newer workflow.
    where n.id = b.id and n.seq = b.seq and not b.is_kept
),
labels as (
    delete from fencepost.activities as a
    using batch as b
    -- As a range: equal keys would be joined by reading all of the index.
    where a.workflow_seq between b.seq and b.seq and not b.is_kept
),
signals as (
    delete from fencepost.workflow_signals as s
    using batch as b
    where s.workflow_seq between b.seq and b.seq and not b.is_kept
)
select max(b.seq) as last, coalesce(array_agg(b.seq) filter (where b.is_kept), '{}') as kept
from batch as b
