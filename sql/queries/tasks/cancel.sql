-- End live tasks as canceled, whatever state they are in.
-- Takes:   calls json: [{call, id, caller}]; now.
-- Returns: per canceled task its resource row; a call whose guard fails returns no row.
-- Touches: live_tasks, done_tasks; reads tasks.
with calls as materialized (
    select c.*, coalesce(%(now)s::timestamptz, statement_timestamp()) as now
    from json_to_recordset(%(calls)s::json) as c (call integer, id text, caller text)
),
held as materialized (
    -- `offset 0` keeps each look-up a probe of an index in every plan, also in one made while a table was empty. Who
    -- is changed in between is found elsewhere then, or not at all: the guard below decides, and the call tries again.
    select c.call, c.caller, c.now, t.*, l.place
    from calls as c
    cross join lateral (
        select t.id, t.definition, t.definition_version, t.label, t.params, t.requester, t.created_at, t.seq
        from fencepost.tasks as t
        where t.id = c.id
        offset 0
    ) as t
    cross join lateral (
        select l.ctid as place
        from fencepost.live_tasks as l
        where l.seq = t.seq
        offset 0
    ) as l
),
ended as (
    delete from fencepost.live_tasks as l
    using held as h
    where l.ctid = h.place
    returning
        h.call, h.caller, h.now,
        h.id, h.definition, h.definition_version, h.label, h.params, h.requester, h.created_at,
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
    e.id, e.definition, e.definition_version, 'done' as status,
    -- The rest of the resource.
    e.label, e.params, e.requester, e.created_at,
    e.version + 1 as version, e.exec_id, e.retry_count, e.execute_at, null as deadline_at,
    e.now as updated_at,
    e.worker, 'canceled' as outcome, null as reason_type, null as reason_message, null as result, null as error
from ended as e
