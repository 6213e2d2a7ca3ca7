-- Whether a task was created for this time; its executeAt now may be that of a retry.
-- Takes:   id, execute_at.
-- Returns: one row (same).
-- Touches: nothing; reads tasks.
select t.execute_at is not distinct from %(execute_at)s::timestamptz as same
from fencepost.tasks as t
where t.id = %(id)s::text
