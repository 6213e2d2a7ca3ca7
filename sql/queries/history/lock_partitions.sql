-- Let one server at a time create or drop partitions, until the transaction ends.
-- Takes:   nothing.
-- Returns: nothing of use.
-- Touches: an advisory lock of the transaction.
select pg_advisory_xact_lock(hashtextextended('fencepost/history', 0))
