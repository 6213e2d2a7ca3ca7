-- End live workflows, and cancel all their live tasks.
-- Takes:   calls json: [{seq, outcome, reason_type, reason_message, result json, error json, action, caller}]; now.
-- Returns: per workflow (seq, definition), and per canceled task (null, definition).
-- Touches: live_workflows, done_workflows, live_tasks, done_tasks, workflow_events. Run after lock.sql and
--          lock_children.sql, with all descendants, so that none of them can start anything afterwards.
with calls as materialized (
    select c.*, coalesce(%(now)s::timestamptz, statement_timestamp()) as now
    from json_to_recordset(%(calls)s::json) as c (
        seq bigint, outcome text, reason_type text, reason_message text, result json, error json, action text,
        caller text
    )
),
held as materialized (
    select c.action, c.caller, c.now, l.seq
    from calls as c
    cross join lateral (
        select l.seq, l.id from fencepost.live_tasks as l where l.workflow_seq = c.seq offset 0
    ) as l
    -- Lock in the order that batches use: a batch may hold the second of two tasks and wait for the first.
    order by convert_to(l.id, 'UTF8')
),
canceled as (
    delete from fencepost.live_tasks as l
    using held as h
    -- By seq and not by ctid: a concurrent claim moves the row, and it must be canceled too. A range, because the
    -- planner may join equal keys by reading the whole index.
    where l.seq between h.seq and h.seq
    returning h.action, h.caller, h.now, l.*
),
done as (
    insert into fencepost.done_tasks
        (seq, id, definition, definition_version, label, params, requester, settings, created_by, created_at,
         asked_execute_at, version, action, done_by, status_before, outcome, exec_id, retry_count, execute_at, worker,
         done_at, workflow_seq, lease_entry, leased_at, leased_by, lease_ends_at)
    select
        e.seq, e.id, e.definition, e.definition_version, e.label, e.params, e.requester, e.settings, e.created_by,
        e.created_at, e.asked_execute_at, e.version + 1, e.action, e.caller, e.status, 'canceled', e.exec_id,
        e.retry_count, e.execute_at, e.worker, e.now, e.workflow_seq, e.request_hash,
        e.updated_at, e.held_by, e.deadline_at
    from canceled as e
),
untold as (
    delete from fencepost.workflow_events as e
    using calls as c
    where e.workflow_seq between c.seq and c.seq
),
ended as (
    delete from fencepost.live_workflows as w
    using calls as c
    where w.seq between c.seq and c.seq
    returning
        c.outcome, c.reason_type, c.reason_message, c.result, c.error, c.action, c.caller, c.now, w.*
),
kept as (
    insert into fencepost.done_workflows
        (seq, id, definition, definition_version, label, params, requester, parent_seq, created_by, created_at,
         execute_at, begun_at, done_at, action, done_by, outcome, reason_type, reason_message, result, error)
    select
        e.seq, e.id, e.definition, e.definition_version, e.label, e.params, e.requester, e.parent_seq, e.created_by,
        e.created_at, e.execute_at, e.begun_at, e.now, e.action, e.caller, e.outcome, e.reason_type, e.reason_message,
        e.result, e.error
    from ended as e
)
select e.seq, e.definition from ended as e
union all
select null, c.definition from canceled as c
