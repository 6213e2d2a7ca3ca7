-- Whether this session can change anything: a standby cannot, nor can a database that was set read-only.
-- Takes:   nothing.
-- Returns: one row (read_only).
-- Touches: nothing.
select pg_is_in_recovery() or current_setting('transaction_read_only')::boolean as read_only
