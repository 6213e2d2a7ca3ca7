-- Set the limit keys of a definition's live tasks by its newest version; null without a limit.
-- Takes:   name.
-- Returns: nothing.
-- Touches: live_tasks; reads definitions. Run after lock.sql and block_task_creation.sql: this statement and a create,
--          a retry or a claim in progress would not see each other's changes.
with held as materialized (
    select l.seq, k.limit_key
    from fencepost.live_tasks as l
    join fencepost.definitions as d on d.name = l.definition and d.is_newest
    cross join lateral (
        select case when d.concurrency_limit is not null then fencepost.limit_key(l.params, d.concurrency_path) end
    ) as k (limit_key)
    where l.definition = %(name)s::text and l.limit_key is distinct from k.limit_key
    -- Lock in the order that batches use: a batch may hold the second of two tasks and wait for the first.
    order by convert_to(l.id, 'UTF8')
    for update of l
)
update fencepost.live_tasks as l
set limit_key = h.limit_key
from held as h
-- By seq and not by ctid: a row that this statement waited for has moved, and the snapshot does not see the new place.
where l.seq = h.seq
