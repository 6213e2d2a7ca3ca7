-- Find the action that each of some workflows began last.
-- Takes:   workflows bigint[].
-- Returns: per workflow that has begun an action (workflow_seq, task_id, place, status, outcome, error).
-- Touches: nothing; reads task_resources.
select w.seq as workflow_seq, l.id as task_id, l.place, l.status, l.outcome, l.error
from unnest(%(workflows)s::bigint[]) as w (seq)
cross join lateral (
    select r.id, (r.params ->> 'index')::integer as place, r.status, r.outcome, r.error
    from (
        -- A subquery of its own: together with `order by`, Postgres would read all tasks in the order of the index.
        select r.seq, r.id, r.params, r.status, r.outcome, r.error
        from fencepost.task_resources as r
        where r.workflow_seq = w.seq and r.definition = 'awf.machine/action'
        offset 0
    ) as r
    -- An action begins when the previous one has ended, so the newest task is the current action.
    order by r.seq desc
    limit 1
) as l
