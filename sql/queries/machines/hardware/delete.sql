-- Forget a machine and its addresses.
-- Takes:   id.
-- Returns: (id, record, pushed_at) of what was there, or none.
-- Touches: hardware, hardware_addresses.
delete from fencepost.hardware as h
where h.id = %(id)s::text
returning h.id, h.record, h.pushed_at
