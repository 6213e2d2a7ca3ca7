-- Lock the newest core task of a people's task, where it is live, so that no worker changes it meanwhile.
-- Takes:   seq bigint, the number of the people's task.
-- Returns: one row (core_seq), none when it is done.
-- Touches: a row lock of live_tasks; reads people_tasks. Run behind the lock of the workflow.
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
