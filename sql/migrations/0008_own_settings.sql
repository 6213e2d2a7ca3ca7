-- What the vocabularies share: documents that are decided over in the server, tasks with settings of their own, and
-- workflows that exclude each other.

alter table fencepost.definitions
    drop constraint definitions_kind,
    drop constraint definitions_settings,
    add constraint definitions_kind check (
        kind in (
            'task', 'workflow', 'schedule', 'trigger',
            -- Decided over in the server.
            'taskflow', 'device-workflow', 'process', 'machine-template'
        )
    ),
    add constraint definitions_settings check (
        kind in ('schedule', 'trigger')
        or num_nulls(requested_to_start_timeout, in_progress_timeout, allowed_retry_count, retry_delay) = 0
    );

-- A task's own settings stand above those of its definition (domain/terms.py); the two times follow from them.
alter table fencepost.live_tasks
    add column settings json,
    -- When it fails unless an attempt has begun.
    add column expires_at timestamptz,
    -- When the attempt that runs is over, however often it is renewed.
    add column attempt_ends_at timestamptz,
    drop constraint live_tasks_one_deadline,
    -- Ready work waits for a worker, and some of it not for ever; everything else for a moment: nothing can be stuck.
    add constraint live_tasks_one_deadline check (
        case status when 'ready' then deadline_at is not distinct from expires_at else deadline_at is not null end
    );
alter table fencepost.done_tasks add column settings json;

-- A time in ms of a task's own settings, else that of its definition.
create function fencepost.term(settings json, name text, otherwise interval) returns interval
language sql immutable parallel safe
return coalesce((settings ->> name)::bigint * interval '1 millisecond', otherwise);

-- How long an attempt may go on without being renewed.
create function fencepost.attempt_time(settings json, otherwise interval) returns interval
language sql immutable parallel safe
return least(
    fencepost.term(settings, 'inProgressTimeout', otherwise), fencepost.term(settings, 'attemptTimeout', null));

-- Until when a lease lasts that is given `now`, begun at once or not. Stable, as the sum of a time and an interval is: were
-- it declared to be more, Postgres would call it for each task, where it writes the others into the statement.
create function fencepost.lease_end(
    now timestamptz, begun boolean, settings json, expires_at timestamptz, in_progress interval, requested interval
) returns timestamptz
language sql stable parallel safe
return case
    when begun then now + fencepost.attempt_time(settings, in_progress)
    else least(now + fencepost.term(settings, 'requestedToStartTimeout', requested), expires_at)
end;

-- Of the live workflows that name one, only one has a key.
alter table fencepost.live_workflows add column key text collate "C";
create unique index live_workflows_key on fencepost.live_workflows (key) where key is not null;

-- A task as it stands now, live or done. `decides` says that it is a decision task.
create or replace view fencepost.task_resources as
select
    l.seq, l.id, l.definition, l.definition_version, l.label, l.params, l.requester, l.created_at, l.status, l.version,
    l.exec_id, l.retry_count, l.execute_at, l.deadline_at, l.updated_at, l.worker,
    null::text as outcome, null::text as reason_type, null::text as reason_message, null::json as result,
    null::json as error,
    l.workflow_seq, l.workflow_seq is not null and substr(l.id, 19, 6) = '-8001-' as decides, l.settings
from fencepost.live_tasks as l
union all
select
    d.seq, d.id, d.definition, d.definition_version, d.label, d.params, d.requester, d.created_at, 'done',
    d.version + (d.cancel_delivered_at is not null)::integer,
    d.exec_id, d.retry_count, d.execute_at, null, coalesce(d.cancel_delivered_at, d.done_at), d.worker,
    d.outcome, d.reason_type, d.reason_message, d.result, d.error,
    d.workflow_seq, d.workflow_seq is not null and substr(d.id, 19, 6) = '-8001-', d.settings
from fencepost.done_tasks as d;

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
where d.cancel_delivered_at is not null;
