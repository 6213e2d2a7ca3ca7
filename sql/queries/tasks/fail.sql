-- End the attempts of running tasks as failed: back to waiting while retries are left, else done.
-- Takes:   calls json: [{call, id, exec_id, error json, checked integer, caller}]; now. `checked` as in success.sql.
-- Returns: per task its resource row; a call whose guard fails returns no row.
-- Touches: live_tasks, done_tasks, task_log; reads tasks, definitions.
with calls as materialized (
    select c.*, coalesce(%(now)s::timestamptz, statement_timestamp()) as now
    from json_to_recordset(%(calls)s::json) as c (
        call integer, id text, exec_id uuid, error json, checked integer, caller text
    )
),
failed as materialized (
    -- `offset 0` keeps each look-up a probe of an index in every plan, also in one made while a table was empty. Who
    -- is changed in between is found elsewhere then, or not at all: the guard below decides, and the call tries again.
    select
        c.call, c.caller, c.error, c.now, d.retry_delay, l.retry_count <= d.allowed_retry_count as again,
        t.*, c.exec_id, l.retry_count, l.worker, l.place
    from calls as c
    cross join lateral (
        select t.id, t.definition, t.definition_version, t.label, t.params, t.requester, t.created_at, t.seq
        from fencepost.tasks as t
        where t.id = c.id
        offset 0
    ) as t
    join fencepost.definitions as d on d.name = t.definition and d.version = t.definition_version
    cross join lateral (
        select l.ctid as place, l.retry_count, l.worker
        from fencepost.live_tasks as l
        where l.seq = t.seq and l.status = 'in-progress' and l.exec_id = c.exec_id
        offset 0
    ) as l
    where not d.has_error_schema or c.checked = d.version
),
retried as (
    update fencepost.live_tasks as l
    set status = 'waiting', version = l.version + 1, exec_id = null, worker = null, held_by = null,
        request_id = null, request_hash = null,
        execute_at = f.now + f.retry_delay, ready_at = f.now + f.retry_delay, deadline_at = f.now + f.retry_delay,
        updated_at = f.now
    from failed as f
    where l.ctid = f.place and l.status = 'in-progress' and l.exec_id = f.exec_id and f.again
    returning f.call, 'waiting' as status, l.seq, l.version, l.execute_at, l.deadline_at
),
ended as (
    delete from fencepost.live_tasks as l
    using failed as f
    where l.ctid = f.place and l.status = 'in-progress' and l.exec_id = f.exec_id and not f.again
    returning f.call, 'done' as status, l.seq, l.version + 1 as version, l.execute_at, null::timestamptz as deadline_at
),
done as (
    insert into fencepost.done_tasks
        (seq, version, action, done_by, status_before, outcome, reason_type, reason_message, error, exec_id,
         retry_count, execute_at, worker, done_at)
    select
        e.seq, e.version, 'awf.task/fail', f.caller, 'in-progress', 'failed', 'awf.task/failed-by-executor',
        'Failed by executor', f.error, f.exec_id, f.retry_count, e.execute_at, f.worker, f.now
    from ended as e
    join failed as f on f.call = e.call
),
logged as (
    insert into fencepost.task_log
        (seq, version, at, action, action_params, caller, worker, status_before, status, exec_id, retry_count,
         execute_at, deadline_at)
    select
        r.seq, r.version, f.now, 'awf.task/fail', json_build_object('error', f.error), f.caller, f.worker,
        'in-progress', 'waiting', f.exec_id, f.retry_count, r.execute_at, r.deadline_at
    from retried as r
    join failed as f on f.call = r.call
)
select
    f.call,
    f.id, f.definition, f.definition_version, r.status,
    -- The rest of the resource.
    f.label, f.params, f.requester, f.created_at, r.version,
    case when not f.again then f.exec_id end as exec_id,
    f.retry_count, r.execute_at, r.deadline_at, f.now as updated_at,
    case when not f.again then f.worker end as worker,
    case when not f.again then 'failed' end as outcome,
    case when not f.again then 'awf.task/failed-by-executor' end as reason_type,
    case when not f.again then 'Failed by executor' end as reason_message,
    null as result,
    case when not f.again then f.error end as error
from (select * from retried union all select * from ended) as r
join failed as f on f.call = r.call
