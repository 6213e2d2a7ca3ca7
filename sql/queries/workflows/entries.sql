-- List the log of a workflow's tasks, in the order in which it was written.
-- Takes:   workflow_seq; decides boolean, its decisions or its activities; size integer.
-- Returns: per entry as tasks/entries.sql, then the label of the task.
-- Touches: nothing; reads task_resources, task_entries.
select
    t.id, e.version, e.at, e.action, e.action_params, e.caller, e.worker, e.status_before, e.status, e.outcome,
    e.reason_type, e.reason_message,
    e.exec_id, e.retry_count, e.execute_at, e.deadline_at,
    (extract(epoch from e.deadline_at - e.at) * 1000)::bigint as delay,
    t.label
from (
    select r.seq, r.id, r.label
    from fencepost.task_resources as r
    where r.workflow_seq = %(workflow_seq)s::bigint and r.decides = %(decides)s::boolean
    offset 0
) as t
cross join lateral (
    select e.* from fencepost.task_entries as e where e.seq = t.seq offset 0
) as e
order by e.at, t.seq, e.version
limit %(size)s::integer
