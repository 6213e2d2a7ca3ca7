-- Give every watched device its whole silence time again, after an outage without heartbeats.
-- Takes:   silence in ms; now.
-- Returns: nothing.
-- Touches: devices.
update fencepost.devices as d
set due_at = coalesce(%(now)s::timestamptz, statement_timestamp()) + %(silence)s::bigint * interval '1 millisecond'
where d.due_at < coalesce(%(now)s::timestamptz, statement_timestamp()) + %(silence)s::bigint * interval '1 millisecond'
