-- Give up devices that were silent for too long: they are watched again when they come back.
-- Takes:   size integer; now.
-- Returns: per device its name.
-- Touches: devices. What a device has under way is ended in the same transaction; whoever holds one is doing the same, or
--          it has just shown that it lives.
with late as materialized (
    select d.name
    from fencepost.devices as d
    where d.due_at <= coalesce(%(now)s::timestamptz, statement_timestamp())
    order by d.due_at
    limit %(size)s::integer
    for update skip locked
)
update fencepost.devices as d
set due_at = null
where d.name = any(array(select l.name from late as l))
returning d.name
