-- Tell when the task was made at which a search stands.
-- Takes:   seq bigint.
-- Returns: one row (created_at) of the next task from this number on; none when there is no such task.
-- Touches: nothing; reads task_resources.
select r.created_at
from fencepost.task_resources as r
where r.seq >= %(seq)s::bigint
order by r.seq
limit 1
