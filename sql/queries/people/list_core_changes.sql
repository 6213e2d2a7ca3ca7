-- What the log says of the core tasks of people's tasks: each change of a state, without that in which the first was made.
-- Takes:   seqs bigint[], the numbers of the people's tasks, which are those of their first core tasks.
-- Returns: per change (task_seq, at, seq, version, status, outcome, by_user, reason, exec_id).
-- Touches: nothing; reads people_tasks, live_tasks, done_tasks, task_log.
select
    t.seq as task_seq, e.at, e.seq, e.version, e.status, e.outcome, coalesce(e.worker, e.caller) as by_user,
    coalesce(e.action_params #>> '{error,message}', e.reason_message) as reason,
    e.exec_id
from unnest(%(seqs)s::bigint[]) as t (seq)
cross join lateral (
    select t.seq as core_seq
    union
    select unnest(p.core_seqs) from fencepost.people_tasks as p where p.seq = t.seq
) as c
cross join lateral (
    select v.* from fencepost.task_entries as v where v.seq = c.core_seq offset 0
) as e
where (e.version > 1 or e.seq <> t.seq)
    and (e.status_before is distinct from e.status or e.action = 'awf.engine/snapshot')
order by t.seq, e.at, e.seq, e.version
