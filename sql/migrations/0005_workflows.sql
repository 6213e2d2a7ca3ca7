-- Workflows: what orders tasks. One row for a live one, one for a finished one, as with tasks; what has happened to it and
-- has not been told to its decider; and the activities that it has begun, by label.

-- Documents of other kinds than task; only tasks and workflows have settings, those of a workflow are of its decisions.
alter table fencepost.definitions
    drop constraint definitions_kind,
    alter column requested_to_start_timeout drop not null,
    alter column in_progress_timeout drop not null,
    alter column allowed_retry_count drop not null,
    alter column retry_delay drop not null,
    add constraint definitions_kind check (kind in ('task', 'workflow', 'schedule', 'trigger')),
    add constraint definitions_settings check (
        kind not in ('task', 'workflow')
        or num_nulls(requested_to_start_timeout, in_progress_timeout, allowed_retry_count, retry_delay) = 0
    );

create table fencepost.live_workflows (
    -- From the sequence of tasks: a child's number is greater than its parent's, so that to lock workflows in the order
    -- of their numbers is to lock parents before children.
    seq bigint not null default nextval('fencepost.task_seq'),
    id text not null,
    definition text not null,
    definition_version integer not null,
    label text,
    params json,
    requester json not null,
    parent_seq bigint,
    created_by text not null,
    created_at timestamptz not null,
    execute_at timestamptz,
    -- Null while `execute_at` is ahead.
    begun_at timestamptz,
    -- The newest decision task; while it is live, what happens waits in `workflow_events`.
    decision_seq bigint,
    -- How many events there have been.
    last_event integer not null,
    constraint live_workflows_pkey primary key (seq)
)
-- Each event changes `last_event` and `decision_seq`, which are in no index: room for that on the row's own page.
with (fillfactor = 50);

-- Reader: workflows/children.sql.
create index live_workflows_parent on fencepost.live_workflows (parent_seq) where parent_seq is not null;
-- Reader: definitions/delete.sql.
create index live_workflows_definition on fencepost.live_workflows (definition);

create table fencepost.done_workflows (
    seq bigint not null,
    id text not null,
    definition text not null,
    definition_version integer not null,
    label text,
    params json,
    requester json not null,
    parent_seq bigint,
    created_by text not null,
    created_at timestamptz not null,
    execute_at timestamptz,
    begun_at timestamptz,
    done_at timestamptz not null,
    action text not null,
    done_by text not null,
    outcome text not null,
    reason_type text,
    reason_message text,
    result json,
    error json,
    constraint done_workflows_pkey primary key (seq, done_at),
    constraint done_workflows_outcome check (outcome in ('succeeded', 'failed', 'canceled')),
    constraint done_workflows_failure_has_reason check ((reason_type is not null) = (outcome = 'failed'))
)
partition by range (done_at);
create table fencepost.done_workflows_default partition of fencepost.done_workflows default;
-- Readers: history/missing.sql, delete_done_workflows.sql.
create index done_workflows_default_done_at on fencepost.done_workflows_default (done_at);

-- The ids of workflows, whoever chose them; kept as long as the workflow's history.
create table fencepost.workflow_names (
    id text not null,
    seq bigint not null,
    constraint workflow_names_pkey primary key (id),
    constraint workflow_names_id_length check (length(id) between 1 and 64)
);

-- What happened to a live workflow and waits until the decision before it is made.
create table fencepost.workflow_events (
    workflow_seq bigint not null,
    number integer not null,
    event json not null,
    constraint workflow_events_pkey primary key (workflow_seq, number)
);

-- What a workflow has begun, tasks and children, by the label that is unique within it. Kept as long as the workflow, so
-- that it also knows of those that ended long ago. `digest` tells what was asked for under that label.
create table fencepost.activities (
    workflow_seq bigint not null,
    label text not null,
    seq bigint not null,
    is_workflow boolean not null,
    digest uuid not null,
    constraint activities_pkey primary key (workflow_seq, label)
);

-- The ids of signals that were taken: each is taken once.
create table fencepost.workflow_signals (
    workflow_seq bigint not null,
    id text not null,
    digest uuid not null,
    constraint workflow_signals_pkey primary key (workflow_seq, id)
);

-- The workflow that a task belongs to, as an activity or as a decision; which of the two stands in its id (domain/ids.py).
alter table fencepost.live_tasks add column workflow_seq bigint;
alter table fencepost.done_tasks add column workflow_seq bigint;
-- Readers: workflows/end.sql, decisions.sql.
create index live_tasks_workflow on fencepost.live_tasks (workflow_seq) where workflow_seq is not null;
create index done_tasks_workflow on fencepost.done_tasks (workflow_seq) where workflow_seq is not null;

-- An id or execId of the server's own, made in SQL: `kind` and the number stand in it (domain/ids.py).
create function fencepost.own_id(kind integer, seq bigint) returns text
language sql volatile parallel safe
return overlay(left(gen_random_uuid()::text, 18) placing '8' from 15 for 1)
    || '-800' || kind || '-' || lpad(to_hex(seq), 12, '0');

drop view fencepost.task_entries;
drop view fencepost.task_resources;

-- A task as it stands now, live or done. `decides` says that it is a decision task.
create view fencepost.task_resources as
select
    l.seq, l.id, l.definition, l.definition_version, l.label, l.params, l.requester, l.created_at, l.status, l.version,
    l.exec_id, l.retry_count, l.execute_at, l.deadline_at, l.updated_at, l.worker,
    null::text as outcome, null::text as reason_type, null::text as reason_message, null::json as result,
    null::json as error,
    l.workflow_seq, l.workflow_seq is not null and substr(l.id, 19, 6) = '-8001-' as decides
from fencepost.live_tasks as l
union all
select
    d.seq, d.id, d.definition, d.definition_version, d.label, d.params, d.requester, d.created_at, 'done',
    d.version + (d.cancel_delivered_at is not null)::integer,
    d.exec_id, d.retry_count, d.execute_at, null, coalesce(d.cancel_delivered_at, d.done_at), d.worker,
    d.outcome, d.reason_type, d.reason_message, d.result, d.error,
    d.workflow_seq, d.workflow_seq is not null and substr(d.id, 19, 6) = '-8001-'
from fencepost.done_tasks as d;

-- The whole log: each entry carries the state that it left behind, so that the newest one is the current state.
create view fencepost.task_entries as
with created as not materialized (
    select l.seq, l.created_at, l.created_by, l.asked_execute_at, l.workflow_seq
    from fencepost.live_tasks as l
    union all
    select d.seq, d.created_at, d.created_by, d.asked_execute_at, d.workflow_seq
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
    case when t.asked_execute_at > t.created_at then t.asked_execute_at end as deadline_at
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

-- A workflow as it stands now, live or done. It changes twice at most, when it begins and when it ends, so that its
-- version and its log follow from its row.
create view fencepost.workflow_resources as
select
    l.seq, l.id, l.definition, l.definition_version, l.label, l.params, l.requester, l.parent_seq, l.created_at,
    l.execute_at, l.begun_at, coalesce(l.begun_at, l.created_at) as updated_at,
    case when l.begun_at is null then 'created' else 'in-progress' end as status,
    1 + (l.begun_at > l.created_at and l.begun_at is not null)::integer as version,
    null::text as outcome, null::text as reason_type, null::text as reason_message, null::json as result,
    null::json as error, l.created_by, null::text as action, null::text as done_by
from fencepost.live_workflows as l
union all
select
    d.seq, d.id, d.definition, d.definition_version, d.label, d.params, d.requester, d.parent_seq, d.created_at,
    d.execute_at, d.begun_at, d.done_at,
    'done',
    2 + (d.begun_at > d.created_at and d.begun_at is not null)::integer,
    d.outcome, d.reason_type, d.reason_message, d.result, d.error, d.created_by, d.action, d.done_by
from fencepost.done_workflows as d;

-- The partitions of the history with their bounds, now with those of workflows.
create or replace view fencepost.history_partitions as
select
    p.relname::text as parent,
    c.relname::text as name,
    (regexp_match(b.bound, 'FROM \(''([^'']+)''\)'))[1]::timestamptz as begins_at,
    (regexp_match(b.bound, 'TO \(''([^'']+)''\)'))[1]::timestamptz as ends_at
from pg_catalog.pg_inherits as i
join pg_catalog.pg_class as p on p.oid = i.inhparent
join pg_catalog.pg_class as c on c.oid = i.inhrelid
cross join lateral (select pg_catalog.pg_get_expr(c.relpartbound, c.oid) as bound) as b
where i.inhparent in (
    'fencepost.done_tasks'::regclass, 'fencepost.task_log'::regclass, 'fencepost.done_workflows'::regclass
);
