-- The live workflows that have some keys.
-- Takes:   keys text[].
-- Returns: per key that is taken (key, id), the id of the workflow that has it.
-- Touches: nothing; reads live_workflows. Run behind lock_keys.sql by who relies on it.
select w.key, w.id
from unnest(%(keys)s::text[]) as u (key)
cross join lateral (
    select w.key, w.id from fencepost.live_workflows as w where w.key = u.key offset 0
) as w
