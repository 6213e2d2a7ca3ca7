-- Find whether this session can write: it cannot on a standby or a read-only database.
-- Takes:   nothing.
-- Returns: one row (read_only).
-- Touches: nothing.
select pg_is_in_recovery() or current_setting('transaction_read_only')::boolean as read_only
