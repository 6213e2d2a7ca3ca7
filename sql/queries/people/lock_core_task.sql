-- Lock the newest core task of a people's task if it is live, so that no worker changes it.
-- Takes:   seq bigint, of the people's task.
-- Returns: one row (core_seq), or no row when the core task is done.
-- Touches: a row lock of live_tasks; reads people_tasks. Run after the lock of the workflow.
select l.seq as core_seq
from fencepost.live_tasks as l
where l.seq = coalesce(
    (
        select t.core_seqs[cardinality(t.core_seqs)]
        from fencepost.people_tasks as t
        where t.seq = %(seq)s::bigint
    ),
    %(seq)s::bigint
)
for update
