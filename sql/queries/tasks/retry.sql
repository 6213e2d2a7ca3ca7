-- Retry done tasks that did not succeed, with a new allowance of attempts: done → ready.
-- Takes:   calls json: [{call, id, seq, caller}]; now. `seq` as in success.sql.
-- Returns: per reopened task its resource row; a call whose guard fails has no row.
-- Touches: done_tasks, live_tasks, task_log; reads task_names, live_workflows, definitions.
with calls as materialized (
    select
        c.call, c.id, c.caller,
        coalesce(c.seq, (select n.seq from fencepost.task_names as n where n.id = c.id)) as seq,
        coalesce(%(now)s::timestamptz, statement_timestamp()) as now
    from json_to_recordset(%(calls)s::json) as c (call integer, id text, seq bigint, caller text)
),
held as materialized (
    -- `offset 0` makes each look-up an index probe in every plan, also one made while a table was empty. A row that is
    -- changed after this look-up fails the guard below, and the call is tried again.
    select c.call, c.caller, c.now, d.seq, d.done_at
    from calls as c
    cross join lateral (
        select d.seq, d.done_at
        from fencepost.done_tasks as d
        where d.seq = c.seq and d.id = c.id and d.outcome <> 'succeeded'
            -- Timers have no worker: as `ready` they would wait for ever.
            and d.definition not in ('awf.task/wait', 'awf.task/subscribe')
            -- An activity of a finished workflow is not retried: no decider would get its result.
            and (d.workflow_seq is null or exists (select from fencepost.live_workflows as w where w.seq = d.workflow_seq))
        offset 0
    ) as d
),
reopened as (
    delete from fencepost.done_tasks as d
    using held as h
    -- A ctid is not unique among partitions. Ranges, because the planner may join equal keys by reading the whole
    -- index. The outcome is not checked again: it never changes, and the check could lead to the index of all failed
    -- tasks.
    where d.seq between h.seq and h.seq and d.done_at between h.done_at and h.done_at
    returning
        h.call, h.caller, h.now,
        d.*, d.version + 1 + (d.cancel_delivered_at is not null)::integer as next_version
),
queued as (
    insert into fencepost.live_tasks
        (seq, id, definition, definition_version, label, params, requester, settings, created_by, created_at,
         asked_execute_at, status, version, retry_count, execute_at, ready_at, updated_at, limit_key, workflow_seq)
    select
        r.seq, r.id, r.definition, r.definition_version, r.label, r.params, r.requester, r.settings, r.created_by,
        r.created_at, r.asked_execute_at, 'ready', r.next_version, 0, r.execute_at, r.now, r.now,
        case when d.concurrency_limit is not null then fencepost.limit_key(r.params, d.concurrency_path) end,
        r.workflow_seq
    from reopened as r
    left join fencepost.definitions as d on d.name = r.definition and d.is_newest
),
waited as (
    -- Changes no row. Takes the table lock that excludes definitions/update_limit_keys.sql.
    update fencepost.task_names set seq = seq where false
),
logged as (
    -- The entries that were stored in the done row move to the log, followed by the retry.
    insert into fencepost.task_log
        (seq, version, at, action, action_params, caller, worker, status_before, status, outcome, reason_type,
         reason_message, exec_id, retry_count, execute_at, deadline_at)
    select
        r.seq, r.version, r.done_at, r.action,
        case when r.error is not null then json_build_object('error', r.error) end,
        r.done_by, r.worker, r.status_before, 'done', r.outcome, r.reason_type, r.reason_message, r.exec_id,
        r.retry_count, r.execute_at, null
    from reopened as r
    union all
    select
        r.seq, r.version - 1, r.leased_at, fencepost.lease_action(r.lease_entry, r.version - 1), null, r.leased_by,
        r.worker, fencepost.lease_before(r.lease_entry), r.status_before, null, null, null, r.exec_id, r.retry_count,
        r.execute_at, r.lease_ends_at
    from reopened as r
    where fencepost.lease_action(r.lease_entry, r.version - 1) is not null
    union all
    select
        r.seq, r.version + 1, r.cancel_delivered_at, 'awf.task/notify', r.cancel_delivery,
        r.cancel_delivered_to, r.worker,
        'done', 'done', r.outcome, null, null, r.exec_id, r.retry_count, r.execute_at,
        null
    from reopened as r
    where r.cancel_delivered_at is not null
    union all
    select
        r.seq, r.next_version, r.now, 'awf.task/retry', null, r.caller, null, 'done', 'ready', null, null, null, null,
        0, r.execute_at, null
    from reopened as r
),
resource as (
    select
        r.call,
        r.id, r.definition, r.definition_version, 'ready' as status,
        r.label, r.params, r.requester, r.settings, r.created_at,
        r.next_version as version, null::uuid as exec_id, 0 as retry_count, r.execute_at,
        null as deadline_at, r.now as updated_at,
        null as worker, null as outcome, null as reason_type, null as reason_message, null as result, null as error
    from reopened as r
)
select *
from resource
