-- Give leased tasks back to the queue at once, in their old place; an attempt that had begun is not counted.
-- Takes:   calls json: [{call, id, exec_id, action, caller}]; now.
-- Returns: per released task its resource row; a call whose guard fails returns no row.
-- Touches: live_tasks, task_log; reads tasks.
with calls as materialized (
    select c.*, coalesce(%(now)s::timestamptz, now()) as now
    from json_to_recordset(%(calls)s::json) as c (call integer, id text, exec_id uuid, action text, caller text)
),
wanted as materialized (
    -- An array makes both look-ups probes of an index in every plan, also in one made while a table was empty.
    select t.seq, t.id, t.definition, t.definition_version, t.label, t.params, t.requester, t.created_at
    from fencepost.tasks as t
    where t.id = any(array(select c.id from calls as c))
),
held as materialized (
    select
        c.call, c.action, c.caller, c.now, l.status as status_before, l.exec_id, l.worker,
        t.id, t.definition, t.definition_version, t.label, t.params, t.requester, t.created_at,
        l.seq, l.version + 1 as version, l.execute_at,
        l.retry_count - (l.status = 'in-progress')::integer as retry_count
    from calls as c
    join wanted as t on t.id = c.id
    join fencepost.live_tasks as l on l.seq = t.seq
    where l.seq = any(array(select w.seq from wanted as w))
        and l.status in ('requested', 'in-progress') and l.exec_id = c.exec_id
    order by l.seq
    for update of l
),
released as (
    update fencepost.live_tasks as l
    set status = 'ready', version = h.version, retry_count = h.retry_count, exec_id = null, deadline_at = null,
        worker = null, held_by = null, request_id = null, request_hash = null, updated_at = h.now
    from held as h
    where l.seq = h.seq and l.seq = any(array(select g.seq from held as g))
),
logged as (
    insert into fencepost.task_log
        (seq, version, at, action, caller, worker, status_before, status, exec_id, retry_count, execute_at)
    select
        h.seq, h.version, h.now, h.action, h.caller, h.worker, h.status_before, 'ready', h.exec_id, h.retry_count,
        h.execute_at
    from held as h
)
select
    h.call,
    h.id, h.definition, h.definition_version, h.label, h.params, h.requester, h.created_at,
    'ready' as status, h.version, null::uuid as exec_id, h.retry_count, h.execute_at, null as deadline_at,
    h.now as updated_at,
    null as worker, null as outcome, null as reason_type, null as reason_message, null as result, null as error
from held as h
