-- Pause a schedule.
-- Takes:   name; now.
-- Returns: nothing.
-- Touches: schedules.
update fencepost.schedules as s
set paused_at = coalesce(%(now)s::timestamptz, statement_timestamp()), due_at = null, starts_at = null
where s.name = %(name)s::text
    and s.paused_at is null
