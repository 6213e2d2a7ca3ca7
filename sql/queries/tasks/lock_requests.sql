-- Let one poll at a time use a requestId, whatever server it reached, until the transaction ends.
-- Takes:   keys text[].
-- Returns: nothing of use.
-- Touches: advisory locks, in one order everywhere, so that two batches do not deadlock.
select pg_advisory_xact_lock(k.key)
from (select distinct hashtextextended(key, 0) as key from unnest(%(keys)s::text[]) as u (key) order by 1) as k
