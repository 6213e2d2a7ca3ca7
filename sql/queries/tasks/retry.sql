-- Give done tasks that did not succeed a fresh allowance of attempts: done → ready.
-- Takes:   calls json: [{call, id, caller}]; now.
-- Returns: per reopened task its resource row; a call whose guard fails returns no row.
-- Touches: done_tasks, live_tasks, task_log; reads tasks, definitions.
with calls as materialized (
    select c.*, coalesce(%(now)s::timestamptz, statement_timestamp()) as now
    from json_to_recordset(%(calls)s::json) as c (call integer, id text, caller text)
),
held as materialized (
    -- `offset 0` keeps each look-up a probe of an index in every plan, also in one made while a table was empty. Who
    -- is changed in between is found elsewhere then, or not at all: the guard below decides, and the call tries again.
    select c.call, c.caller, c.now, t.*, d.place
    from calls as c
    cross join lateral (
        select t.id, t.definition, t.definition_version, t.label, t.params, t.requester, t.created_at, t.seq
        from fencepost.tasks as t
        where t.id = c.id
        offset 0
    ) as t
    cross join lateral (
        select d.ctid as place
        from fencepost.done_tasks as d
        where d.seq = t.seq and d.outcome <> 'succeeded'
        offset 0
    ) as d
),
reopened as (
    delete from fencepost.done_tasks as d
    using held as h
    where d.ctid = h.place and d.outcome <> 'succeeded'
    returning
        h.call, h.caller, h.now,
        h.id, h.definition, h.definition_version, h.label, h.params, h.requester, h.created_at,
        d.*, d.version + 1 + (d.cancel_delivered_at is not null)::integer as next_version
),
queued as (
    insert into fencepost.live_tasks
        (seq, definition, status, version, retry_count, execute_at, ready_at, updated_at, limit_key)
    select
        r.seq, r.definition, 'ready', r.next_version, 0, r.execute_at, r.now, r.now,
        case when d.concurrency_limit is not null then fencepost.limit_key(r.params, d.concurrency_path) end
    from reopened as r
    left join fencepost.definitions as d on d.name = r.definition and d.is_newest
),
waited as (
    -- Changes nothing; takes the lock on the table that keeps this from running beside definitions/relabel.sql.
    update fencepost.tasks set label = label where false
),
logged as (
    -- The entries that lived in the row of `done_tasks` move to the log, and the reopening follows them.
    insert into fencepost.task_log
        (seq, version, at, action, action_params, caller, worker, status_before, status, outcome, reason_type,
         reason_message, exec_id, retry_count, execute_at)
    select
        r.seq, r.version, r.done_at, r.action,
        case when r.error is not null then json_build_object('error', r.error) end,
        r.done_by, r.worker, r.status_before, 'done', r.outcome, r.reason_type, r.reason_message, r.exec_id,
        r.retry_count, r.execute_at
    from reopened as r
    union all
    select
        r.seq, r.version + 1, r.cancel_delivered_at, 'awf.task/notify', r.cancel_delivery,
        r.cancel_delivered_to, r.worker,
        'done', 'done', r.outcome, null, null, r.exec_id, r.retry_count, r.execute_at
    from reopened as r
    where r.cancel_delivered_at is not null
    union all
    select
        r.seq, r.next_version, r.now, 'awf.task/retry', null, r.caller, null, 'done', 'ready', null, null, null, null,
        0, r.execute_at
    from reopened as r
)
select
    r.call,
    r.id, r.definition, r.definition_version, 'ready' as status,
    -- The rest of the resource.
    r.label, r.params, r.requester, r.created_at,
    r.next_version as version, null::uuid as exec_id, 0 as retry_count, r.execute_at,
    null as deadline_at, r.now as updated_at,
    null as worker, null as outcome, null as reason_type, null as reason_message, null as result, null as error
from reopened as r
