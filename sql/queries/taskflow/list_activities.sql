-- List the activities of some runs, newest run first, in the order in which they were started.
-- Takes:   workflows bigint[].
-- Returns: per activity (workflow_seq, seq, label, id, is_workflow, exec_id; status, outcome, was, retry_count, result,
--          error, message, is_dropped); `was` is the status before the end; a dropped activity ended with its workflow.
-- Touches: nothing; reads activities, task_resources, done_tasks, workflow_resources.
select
    a.workflow_seq, a.seq, a.label, t.id, false as is_workflow, t.exec_id,
    t.status, t.outcome, d.status_before as was, t.retry_count, t.result, t.error, t.reason_message as message,
    coalesce(d.outcome = 'canceled' and d.action <> 'awf.task/cancel', false) as is_dropped
from fencepost.activities as a
cross join lateral (
    select r.* from fencepost.task_resources as r where r.seq = a.seq offset 0
) as t
left join lateral (
    select d.status_before, d.outcome, d.action from fencepost.done_tasks as d where d.seq = a.seq offset 0
) as d on true
where a.workflow_seq = any(%(workflows)s::bigint[]) and not a.is_workflow
union all
select
    a.workflow_seq, a.seq, a.label, w.id, true, null,
    case w.status when 'created' then 'waiting' else w.status end, w.outcome,
    case when w.status = 'done' then 'in-progress' end, 1, w.result, w.error, w.reason_message,
    coalesce(w.outcome = 'canceled' and w.action = 'awf.engine/cancel', false)
from fencepost.activities as a
cross join lateral (
    select r.* from fencepost.workflow_resources as r where r.seq = a.seq offset 0
) as w
where a.workflow_seq = any(%(workflows)s::bigint[]) and a.is_workflow
order by 1 desc, 2
