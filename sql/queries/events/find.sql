-- Find stored events.
-- Takes:   keys uuid[].
-- Returns: per event (key, digest, outcome).
-- Touches: nothing; reads events. Run after create.sql, which has waited for other transactions that store the same
--          events.
select e.key, e.digest, e.outcome
from unnest(%(keys)s::uuid[]) as u (key)
-- `offset 0` makes the look-up an index probe in every plan, also one made while the table was empty.
cross join lateral (
    select e.key, e.digest, e.outcome from fencepost.events as e where e.key = u.key offset 0
) as e
