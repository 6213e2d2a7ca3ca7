-- Find whether an id that a caller chose is taken.
-- Takes:   id.
-- Returns: one row (is_named).
-- Touches: nothing; reads task_names.
select exists (select from fencepost.task_names as n where n.id = %(id)s::text) as is_named
