-- Resume a paused schedule at a given due time.
-- Takes:   name; due_at, starts_at.
-- Returns: nothing.
-- Touches: schedules. Run after lock.sql in one transaction.
update fencepost.schedules as s
set paused_at = null, due_at = %(due_at)s::timestamptz, starts_at = %(starts_at)s::timestamptz
where s.name = %(name)s::text
    and s.paused_at is not null
