-- List the changes of a run's activities: logs of its tasks, start and end of its children.
-- Takes:   workflow_seq; taken integer[], per activity the last version that the caller knows, by its number from 1:
--          only later ones are listed.
-- Returns: per change (number, version, at, label, id; status, outcome, was, retry_count, result, error, message,
--          is_dropped); `number` counts the activities from 0 and never changes; `was` is the status before the end; a
--          dropped activity ended with its workflow.
-- Touches: nothing; reads activities, task_resources, task_entries, workflow_resources.
with begun as materialized (
    select a.seq, a.label, a.is_workflow, row_number() over (order by a.seq) - 1 as number,
        coalesce((%(taken)s::integer[])[row_number() over (order by a.seq)], 0) as taken
    from fencepost.activities as a
    where a.workflow_seq = %(workflow_seq)s::bigint
)
select
    b.number, e.version, e.at, b.label, t.id,
    e.status, e.outcome, e.status_before as was, e.retry_count,
    case when e.status = 'done' then e.action_params -> 'result' end as result,
    case when e.status = 'done' then e.action_params -> 'error' end as error,
    e.reason_message as message,
    coalesce(e.outcome = 'canceled' and e.action <> 'awf.task/cancel', false) as is_dropped
from begun as b
cross join lateral (
    select r.id from fencepost.task_resources as r where r.seq = b.seq offset 0
) as t
cross join lateral (
    select e.* from fencepost.task_entries as e where e.seq = b.seq and e.version > b.taken offset 0
) as e
where not b.is_workflow
    -- The delivery of a cancel to the worker changes no state.
    and (e.status_before is distinct from 'done' or e.status <> 'done')
union all
select
    b.number, e.version, e.at, b.label, w.id,
    e.status, case when e.status = 'done' then w.outcome end, case when e.status = 'done' then 'in-progress' end, 1,
    w.result, w.error, w.reason_message,
    coalesce(e.status = 'done' and w.outcome = 'canceled' and w.action = 'awf.engine/cancel', false)
from begun as b
cross join lateral (
    select r.* from fencepost.workflow_resources as r where r.seq = b.seq offset 0
) as w
cross join lateral (
    select 1 as version, w.created_at as at, case w.status when 'created' then 'waiting' else 'in-progress' end as status
    union all
    select 2, w.updated_at, 'done' where w.status = 'done'
) as e
where b.is_workflow and e.version > b.taken
order by 1, 2
