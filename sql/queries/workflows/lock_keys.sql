-- Lock keys of workflows, so that no other transaction creates one with the same key.
-- Takes:   keys text[], sorted, so that two transactions with several keys do not deadlock.
-- Returns: nothing of use, one row a key.
-- Touches: advisory locks. Run before find_key_holders.sql, which must see what the previous holder of the lock did.
select pg_advisory_xact_lock(hashtextextended('fencepost.key ' || u.key, 0))::text
from unnest(%(keys)s::text[]) as u (key)
