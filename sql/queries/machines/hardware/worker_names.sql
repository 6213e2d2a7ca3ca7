-- List the names that a template may use for a worker: its own, its record's id and addresses.
-- Takes:   worker; address, the worker's name in the spelling of addresses.
-- Returns: per name (name), the worker's own included.
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
