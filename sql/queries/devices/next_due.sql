-- Tell when the next device will have been silent for too long.
-- Takes:   now.
-- Returns: the seconds until then, negative when it has passed; null when none is watched.
-- Touches: nothing; reads devices.
select extract(epoch from min(d.due_at) - coalesce(%(now)s::timestamptz, statement_timestamp()))::float8
from fencepost.devices as d
where d.due_at is not null
