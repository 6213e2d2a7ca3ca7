-- Find the creation time of the task at which a search stopped.
-- Takes:   seq bigint.
-- Returns: one row (created_at) of the first task from this seq on; no row when there is none.
-- Touches: nothing; reads task_resources.
select r.created_at
from fencepost.task_resources as r
where r.seq >= %(seq)s::bigint
order by r.seq
limit 1
