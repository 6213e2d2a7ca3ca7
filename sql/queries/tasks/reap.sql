-- Do what is due and ends nothing: ready what waited, requeue what was not started, put off attempts that went silent.
-- Takes:   batch integer, the most to do at once; resumed_at, grace interval: leases last renewed before `resumed_at`
--          are spared until `resumed_at + grace`, so that an outage of ours costs no worker its task; now.
-- Returns: per task (seq, id, exec_id, definition, status): its state afterwards, which is `done` for one that is to be
--          ended now, by time_out.sql.
-- Touches: live_tasks, task_log, live_workflows; reads definitions.
with due as materialized (
    select
        l.ctid as place, l.seq, l.id, l.definition, l.status as status_before, l.version + 1 as version, l.exec_id,
        l.retry_count, l.execute_at, l.expires_at, l.worker, l.workflow_seq,
        coalesce(%(now)s::timestamptz, statement_timestamp()) as now,
        fencepost.term(l.settings, 'retryDelay', d.retry_delay) as retry_delay,
        case
            when l.status <> 'in-progress' then l.lost_attempts
            -- Its worker was heard of, and only the time of the attempt is over.
            when l.deadline_at >= l.attempt_ends_at
                and l.updated_at > l.attempt_ends_at - fencepost.term(l.settings, 'attemptTimeout', d.attempt_timeout)
            then 0
            else l.lost_attempts + 1
        end as lost_attempts,
        -- Counted, because `exists` may become a join with all workflows.
        l.status = 'waiting' and (
            select count(*) from fencepost.live_workflows as w where w.seq = l.workflow_seq and w.begun_at is null
        ) > 0 as begins,
        case
            when l.expires_at <= coalesce(%(now)s::timestamptz, statement_timestamp()) then 'done'
            when l.status in ('waiting', 'requested') then 'ready'
            when l.retry_count <= coalesce((l.settings ->> 'allowedRetryCount')::integer, d.allowed_retry_count)
                and l.definition <> 'awf.task/wait'
            then 'waiting'
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
            l.status in ('waiting', 'ready')
            -- Nobody works on these: there is no worker that an outage could have kept from reporting.
            or l.definition = 'awf.task/wait'
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
beginning as materialized (
    -- Workflows that are to begin now. Not waiting for their locks, which are taken before those of tasks everywhere
    -- else: who has one is soon done, and then this comes again.
    select w.ctid as place, d.seq as task_seq, d.now
    from due as d
    join fencepost.live_workflows as w on w.seq between d.workflow_seq and d.workflow_seq
    where d.begins and w.begun_at is null
    for update of w skip locked
),
spread as materialized (
    select d.seq, d.now + fencepost.retry_pause(d.retry_delay, d.lost_attempts) as again_at
    from due as d
    where d.status = 'waiting'
),
requeued as (
    update fencepost.live_tasks as l
    set status = d.status, version = d.version, exec_id = null, worker = null, held_by = null,
        request_id = null, request_hash = null, lost_attempts = d.lost_attempts,
        execute_at = coalesce(a.again_at, l.execute_at),
        ready_at = coalesce(a.again_at, l.ready_at),
        deadline_at = least(a.again_at, l.expires_at),
        updated_at = d.now
    from due as d
    left join spread as a on a.seq = d.seq
    where l.ctid = d.place and d.status <> 'done'
        and (not d.begins or d.seq in (select b.task_seq from beginning as b))
    returning l.seq, l.execute_at, l.deadline_at
),
begun as (
    update fencepost.live_workflows as w
    set begun_at = b.now
    from beginning as b
    where w.ctid = b.place
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
select d.seq, d.id, d.exec_id, d.definition, d.status
from due as d
where d.status = 'done' or d.seq in (select r.seq from requeued as r)
