-- Apply deadlines that end nothing: ready waiting tasks, requeue unstarted ones, retry lost attempts.
-- Takes:   batch integer, the most tasks at once; resumed_at, grace interval: leases last renewed before `resumed_at`
--          are kept until `resumed_at + grace`, so that an outage of the server costs no worker its task; now.
-- Returns: per task (seq, id, exec_id, definition, status): its status afterwards. `done` means that time_out.sql must
--          end it.
-- Touches: live_tasks, task_log, live_workflows; reads definitions.
with due as materialized (
    select
        l.ctid as place, l.seq, l.id, l.definition, l.status as status_before, l.version + 1 as version, l.exec_id,
        l.retry_count, l.execute_at, l.expires_at, l.worker, l.workflow_seq,
        l.request_hash as entry, l.updated_at as leased_at, l.held_by as leased_by, l.deadline_at as lease_ends_at,
        coalesce(%(now)s::timestamptz, statement_timestamp()) as now,
        fencepost.term(l.settings, 'retryDelay', d.retry_delay) as retry_delay,
        case
            when l.status <> 'in-progress' then l.lost_attempts
            -- The worker was alive, only attemptTimeout has passed: this attempt is not lost.
            when l.deadline_at >= l.attempt_ends_at
                and l.updated_at > l.attempt_ends_at - fencepost.term(l.settings, 'attemptTimeout', d.attempt_timeout)
            then 0
            else l.lost_attempts + 1
        end as lost_attempts,
        -- A count, because the planner may turn `exists` into a join with all workflows.
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
            -- Timers have no worker that an outage could have kept from reporting.
            or l.definition = 'awf.task/wait'
            or l.updated_at >= %(resumed_at)s::timestamptz
            or coalesce(%(now)s::timestamptz, statement_timestamp())
                >= %(resumed_at)s::timestamptz + %(grace)s::interval
        )
    order by l.deadline_at
    limit %(batch)s::integer
    -- SKIP LOCKED: a worker or another server that is changing a task leaves a new deadline. A task that was changed
    -- since the snapshot is left for the next run.
    for update of l skip locked
),
beginning as materialized (
    -- Workflows that begin now. SKIP LOCKED: everywhere else a workflow is locked before its tasks, so waiting here
    -- could deadlock. A skipped workflow is picked up by the next run.
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
    union all
    -- The entry of the lease, which stood in the row until now.
    select
        r.seq, r.version - 1, r.leased_at, fencepost.lease_action(r.entry, r.version - 1), r.leased_by, r.worker,
        fencepost.lease_before(r.entry), r.status_before, r.exec_id, r.retry_count, r.execute_at, r.lease_ends_at
    from due as r
    join requeued as q on q.seq = r.seq
    where fencepost.lease_action(r.entry, r.version - 1) is not null
)
select d.seq, d.id, d.exec_id, d.definition, d.status
from due as d
where d.status = 'done' or d.seq in (select r.seq from requeued as r)
