-- Find the machines that addresses belong to.
-- Takes:   addresses text[].
-- Returns: per address that belongs to a machine (address, hardware_id).
-- Touches: nothing; reads hardware_addresses.
select a.address, a.hardware_id
from fencepost.hardware_addresses as a
where a.address = any(%(addresses)s::text[])
