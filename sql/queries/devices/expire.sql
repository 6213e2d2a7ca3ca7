-- Expire watched devices whose heartbeat deadline has passed; the next heartbeat watches them again.
-- Takes:   size integer, the most devices; now.
-- Returns: per expired device (name).
-- Touches: devices. Their live tasks are ended in the same transaction. A locked device is skipped: another server is
--          expiring it, or it has just sent a heartbeat.
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
