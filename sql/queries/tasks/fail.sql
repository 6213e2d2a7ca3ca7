-- End the attempts of running tasks as failed: back to waiting while retries are left, else done.
-- Takes:   calls json: [{call, id, exec_id, error json, checked integer, caller}]; now. `checked` as in success.sql.
-- Returns: per task its resource row; a call whose guard fails returns no row.
-- Touches: live_tasks, done_tasks, task_log; reads tasks, definitions.
with calls as materialized (
    select c.*, coalesce(%(now)s::timestamptz, now()) as now
    from json_to_recordset(%(calls)s::json) as c (
        call integer, id text, exec_id uuid, error json, checked integer, caller text
    )
),
wanted as materialized (
    -- An array makes both look-ups probes of an index in every plan, also in one made while a table was empty.
    select t.seq, t.id, t.definition, t.definition_version, t.label, t.params, t.requester, t.created_at
    from fencepost.tasks as t
    where t.id = any(array(select c.id from calls as c))
),
failed as materialized (
    select
        c.call, c.caller, c.error, c.now, d.retry_delay, l.retry_count <= d.allowed_retry_count as again,
        t.id, t.definition, t.definition_version, t.label, t.params, t.requester, t.created_at,
        l.seq, l.version + 1 as version, l.exec_id, l.retry_count, l.execute_at, l.worker
    from calls as c
    join wanted as t on t.id = c.id
    join fencepost.definitions as d on d.name = t.definition and d.version = t.definition_version
    join fencepost.live_tasks as l on l.seq = t.seq
    where l.seq = any(array(select w.seq from wanted as w))
        and l.status = 'in-progress' and l.exec_id = c.exec_id
        and (not d.has_error_schema or c.checked = d.version)
    order by l.seq
    for update of l
),
retried as (
    update fencepost.live_tasks as l
    set status = 'waiting', version = f.version, exec_id = null, worker = null, held_by = null,
        request_id = null, request_hash = null,
        execute_at = f.now + f.retry_delay, ready_at = f.now + f.retry_delay, deadline_at = f.now + f.retry_delay,
        updated_at = f.now
    from failed as f
    where l.seq = f.seq and l.seq = any(array(select g.seq from failed as g)) and f.again
    returning l.seq, l.execute_at, l.deadline_at
),
ended as (
    delete from fencepost.live_tasks as l
    using failed as f
    where l.seq = f.seq and l.seq = any(array(select g.seq from failed as g)) and not f.again
),
done as (
    insert into fencepost.done_tasks
        (seq, version, action, done_by, status_before, outcome, reason_type, reason_message, error, exec_id,
         retry_count, execute_at, worker, done_at)
    select
        f.seq, f.version, 'awf.task/fail', f.caller, 'in-progress', 'failed', 'awf.task/failed-by-executor',
        'Failed by executor', f.error, f.exec_id, f.retry_count, f.execute_at, f.worker, f.now
    from failed as f
    where not f.again
),
logged as (
    insert into fencepost.task_log
        (seq, version, at, action, action_params, caller, worker, status_before, status, exec_id, retry_count,
         execute_at, deadline_at)
    select
        f.seq, f.version, f.now, 'awf.task/fail', json_build_object('error', f.error), f.caller, f.worker,
        'in-progress', 'waiting', f.exec_id, f.retry_count, r.execute_at, r.deadline_at
    from failed as f
    join retried as r on r.seq = f.seq
)
select
    f.call,
    f.id, f.definition, f.definition_version, f.label, f.params, f.requester, f.created_at,
    case when f.again then 'waiting' else 'done' end as status,
    f.version,
    case when not f.again then f.exec_id end as exec_id,
    f.retry_count,
    case when f.again then r.execute_at else f.execute_at end as execute_at,
    r.deadline_at, f.now as updated_at,
    case when not f.again then f.worker end as worker,
    case when not f.again then 'failed' end as outcome,
    case when not f.again then 'awf.task/failed-by-executor' end as reason_type,
    case when not f.again then 'Failed by executor' end as reason_message,
    null as result,
    case when not f.again then f.error end as error
from failed as f
left join retried as r on r.seq = f.seq
