-- Delete a hardware record and its addresses.
-- Takes:   id.
-- Returns: (id, record, pushed_at) of the deleted record, or no row.
-- Touches: hardware, hardware_addresses.
delete from fencepost.hardware as h
where h.id = %(id)s::text
returning h.id, h.record, h.pushed_at
