-- Let the names go that lead to the tasks of a partition, a batch at a time; those of live workflows are kept.
-- Takes:   begins_at (null when it has no beginning), ends_at, the bounds of the partition; after bigint, the seq to go on
--          behind (0 to begin); batch integer.
-- Returns: one row (last, kept): the seq to go on behind, null when there are no more tasks; and the tasks of the batch
--          whose workflows are live, so that they must not go.
-- Touches: task_names; reads done_tasks, live_workflows. Only while the partition is locked against changes: a retry that
--          has found its task by an id which then goes would leave a live task that nobody finds.
with batch as materialized (
    select
        d.id, d.seq,
        -- A workflow that is over stays so: who is not kept now need not be later.
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
    -- The id that a caller chose, or the beginning of the server's own, which names what was made together (create.sql).
    where n.id in (b.id, ':' || left(b.id, 18))
        -- An earlier run, cut off, may have let the id go, and then it belongs to a newer task.
        and n.seq = b.seq
        and not b.is_kept
)
select max(b.seq) as last, coalesce(array_agg(b.seq) filter (where b.is_kept), '{}') as kept
from batch as b
