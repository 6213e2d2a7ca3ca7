-- Delete the log of the tasks of deleted receipts.
-- Takes:   seqs bigint[]; created_at, at: the time between which the entries were written.
-- Returns: one row (count), the number of deleted entries.
-- Touches: task_log.
with gone as (
    delete from fencepost.task_log as g
    where g.seq = any(%(seqs)s::bigint[])
        -- Only the partitions of this time are looked at. An entry may be a little later than the end, since a statement
        -- takes the time of its own beginning.
        and g.at >= %(created_at)s::timestamptz and g.at < %(at)s::timestamptz + interval '1 hour'
    returning g.seq
)
select count(*)::integer as count
from gone
