-- Read the time of the database.
-- Takes:   now.
-- Returns: one row (now).
-- Touches: nothing.
select coalesce(%(now)s::timestamptz, statement_timestamp()) as now
