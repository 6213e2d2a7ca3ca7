-- The database's time.
-- Takes:   now.
-- Returns: one row (now).
-- Touches: nothing.
select coalesce(%(now)s::timestamptz, now()) as now
