-- Lock the live children of workflows, in the order of their numbers.
-- Takes:   workflows bigint[].
-- Returns: per child (seq, parent_seq).
-- Touches: row locks of live_workflows. Run behind lock.sql, again and again until there are none: who is locked begins no
--          further ones.
select w.seq, w.parent_seq
from fencepost.live_workflows as w
where w.parent_seq = any(%(workflows)s::bigint[])
order by w.seq
for no key update
