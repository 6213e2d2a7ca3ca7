-- Find a hardware record.
-- Takes:   id.
-- Returns: (id, record, pushed_at), or no row.
-- Touches: nothing; reads hardware.
select h.id, h.record, h.pushed_at
from fencepost.hardware as h
where h.id = %(id)s::text
