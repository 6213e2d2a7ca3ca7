-- List the events of people's tasks, drafts included.
-- Takes:   seqs bigint[], of the tasks.
-- Returns: per event (task_seq, stream, number, event_date_time, by_user, processed, core_seq, core_version,
--          bi_task_status, assigned_to_team, assigned_to_user, priority, due_date_time).
-- Touches: nothing; reads people_events.
select
    e.task_seq, e.stream, e.number, e.event_date_time, e.by_user, e.processed, e.core_seq, e.core_version,
    e.bi_task_status, e.assigned_to_team, e.assigned_to_user, e.priority, e.due_date_time
from unnest(%(seqs)s::bigint[]) as t (seq)
cross join lateral (
    select v.* from fencepost.people_events as v where v.task_seq = t.seq offset 0
) as e
order by e.task_seq, e.number
