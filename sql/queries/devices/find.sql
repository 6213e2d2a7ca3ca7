-- Find a device.
-- Takes:   name.
-- Returns: the device (name, info, seen_at, due_at, task_id, created_at), or no row.
-- Touches: nothing; reads devices.
select d.name, d.info, d.seen_at, d.due_at, d.task_id, d.created_at
from fencepost.devices as d
where d.name = %(name)s::text
