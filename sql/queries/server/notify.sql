-- Notify the other servers of a change.
-- Takes:   payload text, under 8,000 bytes.
-- Returns: nothing of use.
-- Touches: the channel `fencepost`. Never run it in a transaction that changes tasks: NOTIFY serialises commits.
select pg_notify('fencepost', %(payload)s::text)
