-- Let the names go that lead to the tasks of a partition, a batch at a time.
-- Takes:   begins_at (null when it has no beginning), ends_at, the bounds of the partition; after bigint, the seq to go on
--          behind (0 to begin); batch integer.
-- Returns: one row (last), the seq to go on behind, null when there are no more tasks.
-- Touches: task_names; reads done_tasks. Only while the partition is locked against changes: a retry that has found its
--          task by an id which then goes would leave a live task that nobody finds.
with batch as materialized (
    select d.id, d.seq
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
)
select max(b.seq) as last
from batch as b
