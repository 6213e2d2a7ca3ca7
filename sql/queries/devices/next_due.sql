-- Find the time until the next heartbeat deadline of a device.
-- Takes:   now.
-- Returns: the seconds until then, negative when it has passed; null when no device is watched.
-- Touches: nothing; reads devices.
select extract(epoch from min(d.due_at) - coalesce(%(now)s::timestamptz, statement_timestamp()))::float8
from fencepost.devices as d
where d.due_at is not null
