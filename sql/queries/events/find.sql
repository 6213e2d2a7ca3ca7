-- Find events that were taken.
-- Takes:   keys uuid[].
-- Returns: per event (key, digest, outcome).
-- Touches: nothing; reads events. Run behind create.sql, which has waited for others that are taking them.
select e.key, e.digest, e.outcome
from unnest(%(keys)s::uuid[]) as u (key)
-- `offset 0` keeps the look-up a probe of an index in every plan, also in one made while the table was empty.
cross join lateral (
    select e.key, e.digest, e.outcome from fencepost.events as e where e.key = u.key offset 0
) as e
