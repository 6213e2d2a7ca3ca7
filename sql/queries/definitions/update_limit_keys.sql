-- Give the live tasks of a definition the keys that its newest version limits them by, or none.
-- Takes:   name.
-- Returns: nothing.
-- Touches: live_tasks; reads definitions. Run behind lock.sql and block_task_creation.sql: a task that is being created
--          or retried, or a claim that is counting, would not be seen here and would not see this.
with held as materialized (
    select l.seq, k.limit_key
    from fencepost.live_tasks as l
    join fencepost.definitions as d on d.name = l.definition and d.is_newest
    cross join lateral (
        select case when d.concurrency_limit is not null then fencepost.limit_key(l.params, d.concurrency_path) end
    ) as k (limit_key)
    where l.definition = %(name)s::text and l.limit_key is distinct from k.limit_key
    -- In the order of batches: one of them may hold the second of two tasks and wait for the first.
    order by convert_to(l.id, 'UTF8')
    for update of l
)
update fencepost.live_tasks as l
set limit_key = h.limit_key
from held as h
-- By key and not by place: a row that was waited for stands elsewhere now, where this statement's snapshot sees none.
where l.seq = h.seq
