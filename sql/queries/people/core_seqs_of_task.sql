-- The core tasks that a people's task has had.
-- Takes:   seq bigint, the number of the first of them.
-- Returns: one row (core_seqs), the newest last.
-- Touches: nothing; reads people_tasks.
select coalesce(
    (select nullif(t.core_seqs, '{}') from fencepost.people_tasks as t where t.seq = %(seq)s::bigint),
    array[%(seq)s::bigint]
) as core_seqs
