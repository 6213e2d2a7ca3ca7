-- List the state changes in the logs of core tasks of people's tasks, without the creation of the first.
-- Takes:   seqs bigint[], the people's tasks: the seqs of their first core tasks.
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
