-- Let addresses lead to a machine, and no others.
-- Takes:   id; addresses text[].
-- Returns: per address that belongs to another machine (address, hardware_id): roll back.
-- Touches: hardware_addresses. Run behind push.sql, whose lock on the machine two pushes of it wait for.
with gone as (
    delete from fencepost.hardware_addresses as a
    where a.hardware_id = %(id)s::text and a.address <> all(%(addresses)s::text[])
),
led as (
    insert into fencepost.hardware_addresses (address, hardware_id)
    select u.address, %(id)s::text
    from unnest(%(addresses)s::text[]) as u (address)
    -- In one order, since two pushes may be about the same addresses.
    order by u.address
    -- One that is taken is locked, and says who has it; its own machine's is written again.
    on conflict (address) do update set hardware_id = hardware_addresses.hardware_id
    returning address, hardware_id
)
select l.address, l.hardware_id
from led as l
where l.hardware_id <> %(id)s::text
order by l.address
