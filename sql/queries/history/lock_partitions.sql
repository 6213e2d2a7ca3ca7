-- Change the partitions alone until the transaction ends: no two servers make or drop them at once.
-- Takes:   nothing.
-- Returns: nothing of use.
-- Touches: an advisory lock of the transaction.
select pg_advisory_xact_lock(hashtextextended('fencepost/history', 0))
