-- Let one claim at a time count and add leases of a limited definition, until the transaction ends.
-- Takes:   definitions text[].
-- Returns: nothing of use.
-- Touches: advisory locks, in one order everywhere. They are the locks of definitions/lock.sql, so that no limit and no
--          key changes during a claim. One lock a definition and not one a key: two claims want the same oldest tasks,
--          and the second would find the capacity of its keys used up when it gets their locks.
select pg_advisory_xact_lock(k.key)
from (
    select distinct hashtextextended('definition ' || name, 0) as key
    from unnest(%(definitions)s::text[]) as u (name)
    order by 1
) as k
