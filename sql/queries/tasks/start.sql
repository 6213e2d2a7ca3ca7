-- Begin the execution of leased tasks: requested → in-progress.
-- Takes:   calls json: [{call, id, exec_id, caller}]; now.
-- Returns: per started task its resource row; a call whose guard fails returns no row.
-- Touches: live_tasks, task_log; reads tasks, definitions.
with calls as materialized (
    select c.*, coalesce(%(now)s::timestamptz, now()) as now
    from json_to_recordset(%(calls)s::json) as c (call integer, id text, exec_id uuid, caller text)
),
wanted as materialized (
    -- An array makes both look-ups probes of an index in every plan, also in one made while a table was empty.
    select t.seq, t.id, t.definition, t.definition_version, t.label, t.params, t.requester, t.created_at
    from fencepost.tasks as t
    where t.id = any(array(select c.id from calls as c))
),
started as (
    update fencepost.live_tasks as l
    set status = 'in-progress',
        version = l.version + 1,
        retry_count = l.retry_count + 1,
        deadline_at = c.now + d.in_progress_timeout,
        updated_at = c.now
    from calls as c
    join wanted as t on t.id = c.id
    join fencepost.definitions as d on d.name = t.definition and d.version = t.definition_version
    where l.seq = t.seq and l.seq = any(array(select w.seq from wanted as w))
        and l.status = 'requested' and l.exec_id = c.exec_id
    returning
        c.call, c.caller,
        t.id, t.definition, t.definition_version, t.label, t.params, t.requester, t.created_at,
        l.seq, l.status, l.version, l.exec_id, l.retry_count, l.execute_at, l.deadline_at, l.updated_at, l.worker
),
logged as (
    insert into fencepost.task_log
        (seq, version, at, action, caller, worker, status_before, status, exec_id, retry_count, execute_at, deadline_at)
    select
        s.seq, s.version, s.updated_at, 'awf.task/start', s.caller, s.worker, 'requested', s.status, s.exec_id,
        s.retry_count, s.execute_at, s.deadline_at
    from started as s
)
select
    s.call,
    s.id, s.definition, s.definition_version, s.label, s.params, s.requester, s.created_at,
    s.status, s.version, s.exec_id, s.retry_count, s.execute_at, s.deadline_at, s.updated_at,
    s.worker, null as outcome, null as reason_type, null as reason_message, null as result, null as error
from started as s
