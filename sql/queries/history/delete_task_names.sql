-- Delete the names of a partition's tasks, a batch at a time, except tasks of live workflows.
-- Takes:   begins_at (null for no lower bound), ends_at, the bounds of the partition; after bigint, the seq after which
--          the batch begins (0 for the first); batch integer.
-- Returns: one row (last, kept): the next `after`, null when there are no more tasks; and the tasks of the batch that
--          must be kept, because their workflows are live.
-- Touches: task_names; reads done_tasks, live_workflows. Run only while the partition is locked against changes: a
--          retry that found its task by an id that is then deleted would leave a live task that no id leads to.
with batch as materialized (
    select
        d.id, d.seq,
        -- A finished workflow is never live again: a row that need not be kept now need not be kept later.
        exists (select from fencepost.live_workflows as w where w.seq = d.workflow_seq) as is_kept
    from fencepost.done_tasks as d
    where d.done_at >= coalesce(%(begins_at)s::timestamptz, '-infinity')
        and d.done_at < %(ends_at)s::timestamptz
        and d.seq > %(after)s::bigint
    order by d.seq
    limit %(batch)s::integer
),
forgotten as (
    delete from fencepost.task_names as n
    using batch as b
    -- Either the id that a caller chose, or the prefix under which create.sql records the tasks of one call.
    where n.id in (b.id, ':' || left(b.id, 18))
        -- An earlier, interrupted run may have freed the id, which then belongs to a newer task.
        and n.seq = b.seq
        and not b.is_kept
)
select max(b.seq) as last, coalesce(array_agg(b.seq) filter (where b.is_kept), '{}') as kept
from batch as b
