-- End live tasks as canceled, whatever state they are in.
-- Takes:   calls json: [{call, id, caller}]; now.
-- Returns: per canceled task its resource row; a call whose guard fails returns no row.
-- Touches: live_tasks, done_tasks; reads tasks.
with calls as materialized (
    select c.*, coalesce(%(now)s::timestamptz, now()) as now
    from json_to_recordset(%(calls)s::json) as c (call integer, id text, caller text)
),
wanted as materialized (
    -- An array makes both look-ups probes of an index in every plan, also in one made while a table was empty.
    select t.seq, t.id, t.definition, t.definition_version, t.label, t.params, t.requester, t.created_at
    from fencepost.tasks as t
    where t.id = any(array(select c.id from calls as c))
),
ended as (
    delete from fencepost.live_tasks as l
    using calls as c
    join wanted as t on t.id = c.id
    where l.seq = t.seq and l.seq = any(array(select w.seq from wanted as w))
    returning
        c.call, c.caller, c.now,
        t.id, t.definition, t.definition_version, t.label, t.params, t.requester, t.created_at,
        l.seq, l.status, l.version, l.exec_id, l.retry_count, l.execute_at, l.worker
),
done as (
    insert into fencepost.done_tasks
        (seq, version, action, done_by, status_before, outcome, exec_id, retry_count, execute_at, worker, done_at)
    select
        e.seq, e.version + 1, 'awf.task/cancel', e.caller, e.status, 'canceled', e.exec_id, e.retry_count,
        e.execute_at, e.worker, e.now
    from ended as e
)
select
    e.call,
    e.id, e.definition, e.definition_version, e.label, e.params, e.requester, e.created_at,
    'done' as status, e.version + 1 as version, e.exec_id, e.retry_count, e.execute_at, null as deadline_at,
    e.now as updated_at,
    e.worker, 'canceled' as outcome, null as reason_type, null as reason_message, null as result, null as error
from ended as e
