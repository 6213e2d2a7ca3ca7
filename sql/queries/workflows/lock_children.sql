-- Lock the live children of workflows, in the order of seq.
-- Takes:   workflows bigint[].
-- Returns: per child (seq, parent_seq).
-- Touches: row locks of live_workflows. Run after lock.sql, and again for the children until there are none: a locked
--          workflow starts no further child.
select w.seq, w.parent_seq
from fencepost.live_workflows as w
where w.parent_seq = any(%(workflows)s::bigint[])
order by w.seq
for no key update
