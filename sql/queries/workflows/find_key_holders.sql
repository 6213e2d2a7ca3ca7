-- Find the live workflows that hold some keys.
-- Takes:   keys text[].
-- Returns: per key that is held (key, id), the id of the workflow.
-- Touches: nothing; reads live_workflows. Run after lock_keys.sql when the answer must stay true.
select w.key, w.id
from unnest(%(keys)s::text[]) as u (key)
cross join lateral (
    select w.key, w.id from fencepost.live_workflows as w where w.key = u.key offset 0
) as w
