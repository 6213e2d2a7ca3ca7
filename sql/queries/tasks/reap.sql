-- Do what is due: ready what waited, requeue what was not started, end attempts that went silent.
-- Takes:   batch integer, the most to do at once; resumed_at, grace interval: leases last renewed before `resumed_at`
--          are spared until `resumed_at + grace`, so that an outage of ours costs no worker its task; now.
-- Returns: per task done (definition, status), its state afterwards.
-- Touches: live_tasks, done_tasks, task_log; reads definitions.
with due as materialized (
    select
        l.ctid as place, l.seq, l.definition, l.status as status_before, l.version + 1 as version, l.exec_id,
        l.retry_count, l.execute_at, l.worker, d.retry_delay,
        coalesce(%(now)s::timestamptz, statement_timestamp()) as now,
        case
            when l.status in ('waiting', 'requested') then 'ready'
            when l.retry_count <= d.allowed_retry_count then 'waiting'
            else 'done'
        end as status,
        case l.status
            when 'waiting' then 'awf.engine/ready'
            when 'requested' then 'awf.engine/requeue'
            else 'awf.engine/timeout'
        end as action
    from fencepost.live_tasks as l
    join fencepost.definitions as d on d.name = l.definition and d.version = l.definition_version
    where l.deadline_at <= coalesce(%(now)s::timestamptz, statement_timestamp())
        and (
            l.status = 'waiting'
            or l.updated_at >= %(resumed_at)s::timestamptz
            or coalesce(%(now)s::timestamptz, statement_timestamp())
                >= %(resumed_at)s::timestamptz + %(grace)s::interval
        )
    order by l.deadline_at
    limit %(batch)s::integer
    -- What a worker or another server is changing this instant is theirs: they will leave a new deadline behind.
    -- What one of them has just changed lies elsewhere and is left for the next time.
    for update of l skip locked
),
requeued as (
    update fencepost.live_tasks as l
    set status = d.status, version = d.version, exec_id = null, worker = null, held_by = null,
        request_id = null, request_hash = null,
        execute_at = case when d.status = 'waiting' then d.now + d.retry_delay else l.execute_at end,
        ready_at = case when d.status = 'waiting' then d.now + d.retry_delay else l.ready_at end,
        deadline_at = case when d.status = 'waiting' then d.now + d.retry_delay end,
        updated_at = d.now
    from due as d
    where l.ctid = d.place and d.status <> 'done'
    returning l.seq, l.execute_at, l.deadline_at
),
ended as (
    delete from fencepost.live_tasks as l
    using due as d
    where l.ctid = d.place and d.status = 'done'
    returning d.action, d.now, l.*
),
done as (
    insert into fencepost.done_tasks
        (seq, id, definition, definition_version, label, params, requester, created_by, created_at, asked_execute_at,
         version, action, done_by, status_before, outcome, reason_type, reason_message, exec_id, retry_count,
         execute_at, worker, done_at)
    select
        e.seq, e.id, e.definition, e.definition_version, e.label, e.params, e.requester, e.created_by, e.created_at,
        e.asked_execute_at, e.version + 1, e.action, 'awf.engine', e.status, 'failed',
        'awf.task/failed-due-to-in-progress-timeout', 'Failed due to in-progress timeout', e.exec_id, e.retry_count,
        e.execute_at, e.worker, e.now
    from ended as e
),
logged as (
    insert into fencepost.task_log
        (seq, version, at, action, caller, worker, status_before, status, exec_id, retry_count, execute_at, deadline_at)
    select
        d.seq, d.version, d.now, d.action, 'awf.engine', d.worker, d.status_before, d.status, d.exec_id,
        d.retry_count, r.execute_at, r.deadline_at
    from due as d
    join requeued as r on r.seq = d.seq
)
select d.definition, d.status
from due as d
where d.seq in (select r.seq from requeued as r) or d.seq in (select e.seq from ended as e)
