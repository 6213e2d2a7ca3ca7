-- Lock the keys of workflows, so that nobody else begins one with any of them before the transaction ends.
-- Takes:   keys text[], in their order, so that no two who want several wait for each other.
-- Returns: nothing of use, a row a key.
-- Touches: advisory locks. Run before find_key_holders.sql, which must see what others did before they let go.
select pg_advisory_xact_lock(hashtextextended('fencepost.key ' || u.key, 0))::text
from unnest(%(keys)s::text[]) as u (key)
