-- Renew the deadline of running tasks and log what their workers had to say.
-- Takes:   calls json: [{call, id, exec_id, notification json, caller}]; now.
-- Returns: per renewed task (call, deadline_at); a call whose guard fails returns no row.
-- Touches: live_tasks, task_log; reads tasks, definitions.
with calls as materialized (
    select c.*, coalesce(%(now)s::timestamptz, now()) as now
    from json_to_recordset(%(calls)s::json) as c (call integer, id text, exec_id uuid, notification json, caller text)
),
wanted as materialized (
    -- An array makes both look-ups probes of an index in every plan, also in one made while a table was empty.
    select t.seq, t.id, t.definition, t.definition_version, t.label, t.params, t.requester, t.created_at
    from fencepost.tasks as t
    where t.id = any(array(select c.id from calls as c))
),
renewed as (
    update fencepost.live_tasks as l
    set version = l.version + 1,
        deadline_at = c.now + d.in_progress_timeout,
        updated_at = c.now
    from calls as c
    join wanted as t on t.id = c.id
    join fencepost.definitions as d on d.name = t.definition and d.version = t.definition_version
    where l.seq = t.seq and l.seq = any(array(select w.seq from wanted as w))
        and l.status = 'in-progress' and l.exec_id = c.exec_id
    returning
        c.call, c.caller, c.notification,
        l.seq, l.version, l.exec_id, l.retry_count, l.execute_at, l.deadline_at, l.updated_at, l.worker
),
logged as (
    insert into fencepost.task_log
        (seq, version, at, action, action_params, caller, worker, status_before, status, exec_id, retry_count,
         execute_at, deadline_at)
    select
        r.seq, r.version, r.updated_at, 'awf.task/notify', r.notification, r.caller, r.worker, 'in-progress',
        'in-progress', r.exec_id, r.retry_count, r.execute_at, r.deadline_at
    from renewed as r
)
select r.call, r.deadline_at
from renewed as r
