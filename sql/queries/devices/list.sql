-- List devices by name, page by page.
-- Takes:   after text, the last name of the previous page (null for the first page); size integer.
-- Returns: per device (name, info, seen_at, due_at, task_id, created_at).
-- Touches: nothing; reads devices.
select d.name, d.info, d.seen_at, d.due_at, d.task_id, d.created_at
from fencepost.devices as d
where d.name > coalesce(%(after)s::text, '') collate "C"
order by d.name
limit %(size)s::integer
