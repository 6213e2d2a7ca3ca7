-- Say under which names a worker may stand in a template: its own, its record's id, and the addresses of that.
-- Takes:   worker; address, the same as addresses are written.
-- Returns: per name (name), the worker's own among them.
-- Touches: nothing; reads hardware_addresses.
with machine as (
    select a.hardware_id from fencepost.hardware_addresses as a where a.address = %(address)s::text
    union
    select %(worker)s::text
)
select m.hardware_id as name from machine as m
union
select a.address
from machine as m
join fencepost.hardware_addresses as a on a.hardware_id = m.hardware_id
union
select %(address)s::text
