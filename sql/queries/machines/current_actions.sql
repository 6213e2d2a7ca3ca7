-- Say which action each of some workflows began last.
-- Takes:   workflows bigint[].
-- Returns: per workflow that has begun one (workflow_seq, task_id, place, status, outcome, error).
-- Touches: nothing; reads task_resources.
select w.seq as workflow_seq, l.id as task_id, l.place, l.status, l.outcome, l.error
from unnest(%(workflows)s::bigint[]) as w (seq)
cross join lateral (
    select r.id, (r.params ->> 'index')::integer as place, r.status, r.outcome, r.error
    from (
        -- Apart from the order, for the sake of which Postgres would read all tasks in theirs.
        select r.seq, r.id, r.params, r.status, r.outcome, r.error
        from fencepost.task_resources as r
        where r.workflow_seq = w.seq and r.definition = 'awf.machine/action'
        offset 0
    ) as r
    -- One begins when the one before has ended.
    order by r.seq desc
    limit 1
) as l
