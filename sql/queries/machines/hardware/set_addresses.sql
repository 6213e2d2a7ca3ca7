-- Set the addresses of a machine.
-- Takes:   id; addresses text[].
-- Returns: per address that belongs to another machine (address, hardware_id): the caller must roll back.
-- Touches: hardware_addresses. Run after push.sql, whose lock on the machine makes two pushes of it wait for each
--          other.
with gone as (
    delete from fencepost.hardware_addresses as a
    where a.hardware_id = %(id)s::text and a.address <> all(%(addresses)s::text[])
),
led as (
    insert into fencepost.hardware_addresses (address, hardware_id)
    select u.address, %(id)s::text
    from unnest(%(addresses)s::text[]) as u (address)
    -- One order: two pushes may set the same addresses.
    order by u.address
    -- The no-op update locks an address that exists and returns its owner.
    on conflict (address) do update set hardware_id = hardware_addresses.hardware_id
    returning address, hardware_id
)
select l.address, l.hardware_id
from led as l
where l.hardware_id <> %(id)s::text
order by l.address
