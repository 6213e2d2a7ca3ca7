-- Move schedules to their next due times, and save the result of the last run.
-- Takes:   calls json: [{name, due_at, starts_at, last_schedule, last_status, last_reason, last_reference, last_seq}].
--          Without `last_status` the last run stays as it is.
-- Returns: nothing.
-- Touches: schedules. Run after lock.sql or claim.sql in one transaction.
update fencepost.schedules as s
set due_at = c.due_at,
    starts_at = c.starts_at,
    last_schedule = case when c.last_status is null then s.last_schedule else c.last_schedule end,
    last_status = coalesce(c.last_status, s.last_status),
    last_reason = case when c.last_status is null then s.last_reason else c.last_reason end,
    last_reference = coalesce(c.last_reference, s.last_reference),
    last_seq = case when c.last_reference is null then s.last_seq else c.last_seq end
from json_to_recordset(%(calls)s::json) as c (
    name text, due_at timestamptz, starts_at timestamptz, last_schedule timestamptz, last_status text, last_reason text,
    last_reference json, last_seq bigint
)
where s.name = c.name
