-- Make the next decision task of workflows that have none and have something to be told.
-- Takes:   workflows bigint[]; now.
-- Returns: per decision task made (definition, due_in): due_in are the seconds until it is ready, null when it is.
-- Touches: live_workflows, workflow_events, live_tasks. Run behind lock.sql, as the last statement about these workflows
--          in its transaction: then none is left with an event that nobody decides about.
with next as materialized (
    select
        w.*, e.place as event_place, e.event, nextval('fencepost.task_seq') as task_seq,
        coalesce(%(now)s::timestamptz, statement_timestamp()) as now,
        -- Only the first can be early.
        case when w.begun_at is null then w.execute_at end as due_at
    from unnest(%(workflows)s::bigint[]) as t (seq)
    cross join lateral (
        select w.ctid as place, w.seq, w.id, w.definition, w.definition_version, w.begun_at, w.execute_at
        from fencepost.live_workflows as w
        where w.seq = t.seq
            -- Counted, because `not exists` may become a join with all that is live.
            and (select count(*) from fencepost.live_tasks as l where l.seq = w.decision_seq) = 0
        offset 0
    ) as w
    cross join lateral (
        select e.ctid as place, e.event
        from fencepost.workflow_events as e
        where e.workflow_seq = w.seq
        order by e.number
        limit 1
    ) as e
),
told as (
    delete from fencepost.workflow_events as e
    using next as n
    where e.ctid = n.event_place
),
noted as (
    update fencepost.live_workflows as w
    set decision_seq = n.task_seq
    from next as n
    where w.ctid = n.place
),
made as (
    insert into fencepost.live_tasks
        (seq, id, definition, definition_version, params, requester, created_by, created_at, asked_execute_at,
         status, version, retry_count, execute_at, ready_at, deadline_at, updated_at, workflow_seq)
    select
        n.task_seq, fencepost.own_id(1, n.task_seq), n.definition, n.definition_version, n.event,
        json_build_object('resourceType', 'AidboxWorkflow', 'id', n.id), 'awf.engine', n.now, n.due_at,
        case when n.due_at is null then 'ready' else 'waiting' end, 1, 0, n.due_at, coalesce(n.due_at, n.now), n.due_at,
        n.now, n.seq
    from next as n
)
select n.definition, extract(epoch from n.due_at - n.now)::float8 as due_in
from next as n
