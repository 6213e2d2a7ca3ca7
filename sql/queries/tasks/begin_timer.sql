-- Start built-in timers and subscriptions in the transaction that creates them: ready → in-progress.
-- Takes:   calls json: [{call, id, seq, until timestamptz, milliseconds, subscription_path, subscription_value}]; now.
--          `seq` or `id` names the task; `until` or `milliseconds` says when it ends by itself; the last two are the
--          index keys of a subscription.
-- Returns: per task `call`, due_in (seconds until it ends by itself) and its resource row.
-- Touches: live_tasks, task_log; reads task_names. Run in the transaction that created the tasks, so that their ctids
--          are valid.
with held as materialized (
    select
        c.call, l.place, c.subscription_path, c.subscription_value,
        coalesce(%(now)s::timestamptz, statement_timestamp()) as now,
        coalesce(
            c.until,
            coalesce(%(now)s::timestamptz, statement_timestamp()) + c.milliseconds * interval '1 millisecond'
        ) as deadline_at
    from json_to_recordset(%(calls)s::json) as c (
        call integer, id text, seq bigint, until timestamptz, milliseconds bigint, subscription_path text,
        subscription_value bigint
    )
    cross join lateral (
        select l.ctid as place
        from fencepost.live_tasks as l
        where l.seq = coalesce(c.seq, (select n.seq from fencepost.task_names as n where n.id = c.id))
            and l.status = 'ready'
        offset 0
    ) as l
),
begun as (
    update fencepost.live_tasks as l
    set status = 'in-progress', version = l.version + 1,
        -- The id kind says whether the task belongs to a workflow, as in the execIds that polls give out.
        exec_id = fencepost.own_id(case when l.workflow_seq is null then 0 else 2 end, l.seq)::uuid,
        retry_count = 1, deadline_at = h.deadline_at, updated_at = h.now, held_by = 'awf.engine',
        subscription_path = h.subscription_path, subscription_value = h.subscription_value
    from held as h
    where l.ctid = h.place
    returning h.call, h.now, l.*
),
logged as (
    insert into fencepost.task_log
        (seq, version, at, action, caller, status_before, status, exec_id, retry_count, execute_at, deadline_at)
    select
        b.seq, b.version, b.now, 'awf.engine/start', 'awf.engine', 'ready', 'in-progress', b.exec_id, b.retry_count,
        b.execute_at, b.deadline_at
    from begun as b
)
select
    b.call,
    extract(epoch from b.deadline_at - b.now)::float8 as due_in,
    b.id, b.definition, b.definition_version, b.status,
    b.label, b.params, b.requester, b.settings, b.created_at, b.version, b.exec_id, b.retry_count, b.execute_at,
    b.deadline_at, b.updated_at,
    b.worker, null as outcome, null as reason_type, null as reason_message, null as result, null as error
from begun as b
