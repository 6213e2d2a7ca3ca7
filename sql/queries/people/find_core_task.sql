-- Find the core task of a people's task.
-- Takes:   seq bigint, of the core task.
-- Returns: one row (id, definition, definition_version, settings, exec_id, version).
-- Touches: nothing; reads live_tasks, done_tasks.
select r.id, r.definition, r.definition_version, r.settings, r.exec_id, r.version
from fencepost.task_resources as r
where r.seq = %(seq)s::bigint
