-- List the saved current values of people's tasks.
-- Takes:   seqs bigint[].
-- Returns: per task that has saved values (seq, replayed_at, core_seq, core_version, bi_assigned_to_team,
--          bi_assigned_to_user, bi_task_status, bi_priority, bi_due_date_time, bi_completion_date_time).
-- Touches: nothing; reads people_tasks.
select
    t.seq, t.replayed_at, t.core_seqs[cardinality(t.core_seqs)] as core_seq, t.core_version, t.bi_assigned_to_team,
    t.bi_assigned_to_user, t.bi_task_status, t.bi_priority, t.bi_due_date_time, t.bi_completion_date_time
from unnest(%(seqs)s::bigint[]) as u (seq)
cross join lateral (select p.* from fencepost.people_tasks as p where p.seq = u.seq offset 0) as t
where t.replayed_at is not null
