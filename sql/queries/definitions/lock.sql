-- Let one change of a definition's name go on at a time, until the transaction ends.
-- Takes:   name.
-- Returns: nothing of use.
-- Touches: an advisory lock.
select pg_advisory_xact_lock(hashtextextended('definition ' || %(name)s::text, 0))
