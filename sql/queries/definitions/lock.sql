-- Let one change of a definition's name run at a time, until the transaction ends.
-- Takes:   name.
-- Returns: nothing of use.
-- Touches: an advisory lock, which claims of a limited definition take too (tasks/lock_limits.sql).
select pg_advisory_xact_lock(hashtextextended('definition ' || %(name)s::text, 0))
