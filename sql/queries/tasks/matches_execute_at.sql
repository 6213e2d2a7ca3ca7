-- Compare the executeAt that a task was created with; its executeAt now may be that of a retry.
-- Takes:   id, seq (as in find.sql), execute_at.
-- Returns: one row (same).
-- Touches: nothing; reads task_names, live_tasks, done_tasks.
select t.asked_execute_at is not distinct from %(execute_at)s::timestamptz as same
from (
    select l.seq, l.id, l.asked_execute_at from fencepost.live_tasks as l
    union all
    select d.seq, d.id, d.asked_execute_at from fencepost.done_tasks as d
) as t
where t.seq = coalesce(%(seq)s::bigint, (select n.seq from fencepost.task_names as n where n.id = %(id)s::text))
    and t.id = %(id)s::text
