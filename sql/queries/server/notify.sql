-- Tell other servers what changed.
-- Takes:   payload text, under 8,000 bytes.
-- Returns: nothing of use.
-- Touches: the channel `fencepost`. Never inside a transaction that changes tasks: NOTIFY serialises commits.
select pg_notify('fencepost', %(payload)s::text)
