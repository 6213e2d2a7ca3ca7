-- The log entry of a lease follows from the row of the task until the next change, which writes it or carries it into
-- the done row: docs/decisions/0024-the-entry-of-a-lease-is-its-row.md.

-- A new column at the end of the row would make each claim log params anew (0003_one_live_row.sql). The column
-- request_hash is in the middle and free: servers before 0021_poll_requests.sql use it only together with request_id.
comment on column fencepost.live_tasks.request_hash is
    'When request_id is null: what the log does not have yet of the lease, as written by fencepost.lease_entry.';

alter table fencepost.done_tasks
    -- As live_tasks.request_hash. The other three belong to it: when, by whom and until when.
    add column lease_entry text,
    add column leased_at timestamptz,
    add column leased_by text,
    add column lease_ends_at timestamptz;

-- The version that the entry has, and a letter for the action and the state before it.
create function fencepost.lease_entry(version integer, action text, status_before text) returns text
language sql immutable parallel safe
return version::text || case action
    when 'awf.task/poll' then 'p'
    when 'awf.task/long-poll' then 'l'
    when 'awf.task/start' then case status_before when 'requested' then 'r' else 's' end
end;

-- The action, or null when the entry is not of this version: a later change has its entry in the log.
create function fencepost.lease_action(entry text, version integer) returns text
language sql immutable parallel safe
return case entry
    when version::text || 'p' then 'awf.task/poll'
    when version::text || 'l' then 'awf.task/long-poll'
    when version::text || 's' then 'awf.task/start'
    when version::text || 'r' then 'awf.task/start'
end;

create function fencepost.lease_before(entry text) returns text
language sql immutable parallel safe
return case right(entry, 1) when 'r' then 'requested' else 'ready' end;

-- The whole log: each entry carries the state that it left behind, so that the newest one is the current state.
create or replace view fencepost.task_entries as
with created as not materialized (
    select l.seq, l.created_at, l.created_by, l.asked_execute_at, l.workflow_seq, l.settings
    from fencepost.live_tasks as l
    union all
    select d.seq, d.created_at, d.created_by, d.asked_execute_at, d.workflow_seq, d.settings
    from fencepost.done_tasks as d
)
select
    t.seq,
    1 as version,
    t.created_at as at,
    case when t.workflow_seq is null then 'awf.task/create-and-execute' else 'awf.engine/schedule' end as action,
    null::json as action_params,
    t.created_by as caller,
    null::text as worker,
    null::text as status_before,
    case when t.asked_execute_at > t.created_at then 'waiting' else 'ready' end as status,
    null::text as outcome,
    null::text as reason_type,
    null::text as reason_message,
    null::uuid as exec_id,
    0 as retry_count,
    t.asked_execute_at as execute_at,
    least(
        case when t.asked_execute_at > t.created_at then t.asked_execute_at end,
        t.created_at + fencepost.term(t.settings, 'expiresAfter', null)) as deadline_at
from created as t
union all
select
    g.seq, g.version, g.at, g.action, g.action_params, g.caller, g.worker, g.status_before, g.status, g.outcome,
    g.reason_type, g.reason_message, g.exec_id, g.retry_count, g.execute_at, g.deadline_at
from fencepost.task_log as g
union all
select
    d.seq, d.version, d.done_at, d.action,
    case
        when d.result is not null then json_build_object('result', d.result)
        when d.error is not null then json_build_object('error', d.error)
    end,
    d.done_by, d.worker, d.status_before, 'done', d.outcome,
    d.reason_type, d.reason_message, d.exec_id, d.retry_count, d.execute_at, null
from fencepost.done_tasks as d
union all
select
    d.seq, d.version + 1, d.cancel_delivered_at, 'awf.task/notify', d.cancel_delivery,
    d.cancel_delivered_to, d.worker, 'done', 'done', d.outcome,
    null, null, d.exec_id, d.retry_count, d.execute_at, null
from fencepost.done_tasks as d
where d.cancel_delivered_at is not null
union all
select
    l.seq, l.version, l.updated_at, fencepost.lease_action(l.request_hash, l.version), null,
    l.held_by, l.worker, fencepost.lease_before(l.request_hash), l.status, null,
    null, null, l.exec_id, l.retry_count, l.execute_at, l.deadline_at
from fencepost.live_tasks as l
where fencepost.lease_action(l.request_hash, l.version) is not null
union all
select
    d.seq, d.version - 1, d.leased_at, fencepost.lease_action(d.lease_entry, d.version - 1), null,
    d.leased_by, d.worker, fencepost.lease_before(d.lease_entry), d.status_before, null,
    null, null, d.exec_id, d.retry_count, d.execute_at, d.lease_ends_at
from fencepost.done_tasks as d
where fencepost.lease_action(d.lease_entry, d.version - 1) is not null;
