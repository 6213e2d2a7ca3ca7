-- Tasks: what was asked, what is alive, what is over, and what happened in between.
--
-- A task is one row in `tasks` for good, and one row in either `live_tasks` or `done_tasks`. A change of state
-- never rewrites the payload, finished work leaves the table that claims scan, and history is only ever appended.
-- The row in `tasks` is also the first entry of the task's log and the row in `done_tasks` the last one, so that
-- neither is written twice; the view `task_entries` puts the log together.

create schema if not exists fencepost;

create table fencepost.definitions (
    name text not null,
    version integer not null,
    kind text not null,
    document json not null,
    is_newest boolean not null,
    requested_to_start_timeout interval not null,
    in_progress_timeout interval not null,
    allowed_retry_count integer not null,
    retry_delay interval not null,
    has_result_schema boolean not null,
    has_error_schema boolean not null,
    created_at timestamptz not null,
    created_by text not null,
    deleted_at timestamptz,
    constraint definitions_pkey primary key (name, version),
    constraint definitions_kind check (kind in ('task')),
    constraint definitions_deleted_is_not_newest check (deleted_at is null or not is_newest)
);

-- Reader: definitions/newest.sql, and the guard of tasks/create.sql.
create unique index definitions_newest on fencepost.definitions (name) where is_newest;

create table fencepost.tasks (
    seq bigint generated always as identity,
    id text not null,
    definition text not null,
    definition_version integer not null,
    label text,
    params json,
    execute_at timestamptz,
    requester json not null,
    created_by text not null,
    created_at timestamptz not null,
    constraint tasks_pkey primary key (seq),
    constraint tasks_id_key unique (id),
    -- Its letters are checked at the door: a pattern here costs a fifth of the whole insert.
    constraint tasks_id_length check (length(id) between 1 and 64)
);

create table fencepost.live_tasks (
    seq bigint not null,
    definition text not null,
    status text not null,
    version integer not null,
    retry_count integer not null,
    exec_id uuid,
    execute_at timestamptz,
    ready_at timestamptz not null,
    deadline_at timestamptz,
    updated_at timestamptz not null,
    worker text,
    held_by text,
    request_id text,
    request_hash text,
    constraint live_tasks_pkey primary key (seq),
    constraint live_tasks_status check (status in ('waiting', 'ready', 'requested', 'in-progress')),
    -- A lease has a fence, and only a lease has one.
    constraint live_tasks_fenced_while_held check ((exec_id is not null) = (status in ('requested', 'in-progress'))),
    -- Ready work waits for a worker, everything else for a moment: nothing can be stuck.
    constraint live_tasks_one_deadline check ((deadline_at is null) = (status = 'ready')),
    constraint live_tasks_request_while_held check (request_id is null or exec_id is not null)
) with (fillfactor = 80);

-- Reader: tasks/claim.sql, in queue order within a definition.
create index live_tasks_ready on fencepost.live_tasks (definition, ready_at, seq) where status = 'ready';
-- Reader: tasks/reap.sql.
create index live_tasks_deadline on fencepost.live_tasks (deadline_at) where deadline_at is not null;
-- Reader: tasks/held.sql.
create index live_tasks_request on fencepost.live_tasks (held_by, request_id) where request_id is not null;

create table fencepost.done_tasks (
    seq bigint not null,
    version integer not null,
    action text not null,
    done_by text not null,
    status_before text not null,
    outcome text not null,
    reason_type text,
    reason_message text,
    result json,
    error json,
    exec_id uuid,
    retry_count integer not null,
    execute_at timestamptz,
    worker text,
    done_at timestamptz not null,
    cancel_delivered_at timestamptz,
    cancel_delivered_to text,
    cancel_delivery json,
    constraint done_tasks_pkey primary key (seq),
    constraint done_tasks_outcome check (outcome in ('succeeded', 'failed', 'canceled')),
    constraint done_tasks_failure_has_reason check ((reason_type is not null) = (outcome = 'failed')),
    constraint done_tasks_only_cancels_are_delivered check (cancel_delivered_at is null or outcome = 'canceled')
);

-- Reader: tasks/list.sql with an outcome.
create index done_tasks_outcome on fencepost.done_tasks (outcome, seq);

create table fencepost.task_log (
    seq bigint not null,
    version integer not null,
    at timestamptz not null,
    action text not null,
    action_params json,
    caller text not null,
    worker text,
    status_before text not null,
    status text not null,
    outcome text,
    reason_type text,
    reason_message text,
    exec_id uuid,
    retry_count integer not null,
    execute_at timestamptz,
    deadline_at timestamptz,
    constraint task_log_pkey primary key (seq, version),
    -- The same table as domain/transitions.py, checked by a test.
    constraint task_log_transition check (
        (status_before, status) in (
            ('waiting', 'ready'),
            ('waiting', 'done'),
            ('ready', 'requested'),
            ('ready', 'in-progress'),
            ('ready', 'done'),
            ('requested', 'ready'),
            ('requested', 'in-progress'),
            ('requested', 'done'),
            ('in-progress', 'ready'),
            ('in-progress', 'waiting'),
            ('in-progress', 'in-progress'),
            ('in-progress', 'done'),
            ('done', 'ready'),
            ('done', 'done')
        )
    )
);

-- A task as it stands now: one row a task, live or done.
create view fencepost.task_resources as
select
    t.seq,
    t.id,
    t.definition,
    t.definition_version,
    t.label,
    t.params,
    t.requester,
    t.created_at,
    coalesce(l.status, 'done') as status,
    coalesce(l.version, d.version + (d.cancel_delivered_at is not null)::integer) as version,
    coalesce(l.exec_id, d.exec_id) as exec_id,
    coalesce(l.retry_count, d.retry_count) as retry_count,
    case when l.seq is null then d.execute_at else l.execute_at end as execute_at,
    l.deadline_at,
    coalesce(l.updated_at, d.cancel_delivered_at, d.done_at) as updated_at,
    coalesce(l.worker, d.worker) as worker,
    d.outcome,
    d.reason_type,
    d.reason_message,
    d.result,
    d.error
from fencepost.tasks as t
left join fencepost.live_tasks as l on l.seq = t.seq
left join fencepost.done_tasks as d on d.seq = t.seq
where l.seq is not null or d.seq is not null;

-- The whole log: each entry carries the state that it left behind, so that the newest one is the current state.
create view fencepost.task_entries as
select
    t.seq,
    1 as version,
    t.created_at as at,
    'awf.task/create-and-execute' as action,
    null::json as action_params,
    t.created_by as caller,
    null::text as worker,
    null::text as status_before,
    case when t.execute_at > t.created_at then 'waiting' else 'ready' end as status,
    null::text as outcome,
    null::text as reason_type,
    null::text as reason_message,
    null::uuid as exec_id,
    0 as retry_count,
    t.execute_at,
    case when t.execute_at > t.created_at then t.execute_at end as deadline_at
from fencepost.tasks as t
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
