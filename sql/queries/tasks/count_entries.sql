-- Count the log entries of one task.
-- Takes:   id, seq (as in find.sql).
-- Returns: one row (total).
-- Touches: nothing; reads task_names, task_entries.
select count(*) as total
from fencepost.task_entries as e
where e.seq = coalesce(%(seq)s::bigint, (select n.seq from fencepost.task_names as n where n.id = %(id)s::text))
