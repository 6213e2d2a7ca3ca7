-- One row for a live task, with everything; one row for a finished one, with everything. History in partitions by time,
-- so that it can be dropped, and no index over ids where tasks are made and done: docs/decisions/0008-one-live-row.md.

drop view fencepost.task_entries;
drop view fencepost.task_resources;
drop index fencepost.live_tasks_ready, fencepost.live_tasks_ready_by_key, fencepost.live_tasks_held_by_key;
drop index fencepost.live_tasks_deadline, fencepost.live_tasks_request, fencepost.done_tasks_outcome;
alter table fencepost.live_tasks rename to live_tasks_before;
alter table fencepost.done_tasks rename to done_tasks_before;
alter table fencepost.task_log rename to task_log_before;
alter index fencepost.live_tasks_pkey rename to live_tasks_before_pkey;
alter index fencepost.done_tasks_pkey rename to done_tasks_before_pkey;
alter index fencepost.task_log_pkey rename to task_log_before_pkey;

-- Numbers tasks in the order in which they are made. Twelve hexadecimal digits: the ids that the server gives out end
-- with it (store/ids.py).
create sequence fencepost.task_seq maxvalue 281474976710655;

-- The ids that callers chose, and what else must be taken once: a name for each batch of tasks that the server named,
-- which makes a repeated batch a known one (tasks/create.sql). A name stays as long as its task's history.
create table fencepost.task_names (
    id text not null,
    seq bigint not null,
    constraint task_names_pkey primary key (id),
    -- Its letters are checked at the door: a pattern here costs a fifth of the whole insert.
    constraint task_names_id_length check (length(id) between 1 and 64)
);

create table fencepost.live_tasks (
    -- What a change of state leaves alone stands at both ends: what an old and a new row have in common there is not
    -- written to Postgres's log again.
    seq bigint not null default nextval('fencepost.task_seq'),
    created_at timestamptz not null,
    asked_execute_at timestamptz,
    execute_at timestamptz,
    ready_at timestamptz not null,
    updated_at timestamptz not null,
    deadline_at timestamptz,
    exec_id uuid,
    version integer not null,
    retry_count integer not null,
    status text not null,
    worker text,
    held_by text,
    request_id text,
    request_hash text,
    -- In "C": keys are compared for equality and walked through, in whatever order.
    limit_key text collate "C",
    id text not null,
    definition text not null,
    definition_version integer not null,
    label text,
    created_by text not null,
    requester json not null,
    params json,
    constraint live_tasks_pkey primary key (seq),
    constraint live_tasks_status check (status in ('waiting', 'ready', 'requested', 'in-progress')),
    -- A lease has a fence, and only a lease has one.
    constraint live_tasks_fenced_while_held check ((exec_id is not null) = (status in ('requested', 'in-progress'))),
    -- Ready work waits for a worker, everything else for a moment: nothing can be stuck.
    constraint live_tasks_one_deadline check ((deadline_at is null) = (status = 'ready')),
    constraint live_tasks_request_while_held check (request_id is null or exec_id is not null)
-- Room for a second version of every row: what stays on its page is not written to Postgres's log in full, so that the
-- size of params does not matter to a claim.
) with (fillfactor = 50);

insert into fencepost.task_names (id, seq)
select t.id, t.seq from fencepost.tasks as t;

insert into fencepost.live_tasks
    (seq, created_at, asked_execute_at, execute_at, ready_at, updated_at, deadline_at, exec_id, version, retry_count,
     status, worker, held_by, request_id, request_hash, limit_key, id, definition, definition_version, label,
     created_by, requester, params)
select
    t.seq, t.created_at, t.execute_at, l.execute_at, l.ready_at, l.updated_at, l.deadline_at, l.exec_id, l.version,
    l.retry_count, l.status, l.worker, l.held_by, l.request_id, l.request_hash, l.limit_key, t.id, t.definition,
    t.definition_version, t.label, t.created_by, t.requester, t.params
from fencepost.live_tasks_before as l
join fencepost.tasks as t on t.seq = l.seq
order by t.seq;

-- Reader: tasks/claim.sql, in queue order within a definition. What has a key is claimed by its key.
create index live_tasks_ready on fencepost.live_tasks (definition, ready_at, seq)
    where status = 'ready' and limit_key is null;
-- Readers: tasks/free_places.sql and look.sql, from key to key and in queue order within one.
create index live_tasks_ready_by_key on fencepost.live_tasks (definition, limit_key, ready_at, seq)
    where status = 'ready' and limit_key is not null;
-- Readers: the same, which count the leases of a key.
create index live_tasks_held_by_key on fencepost.live_tasks (definition, limit_key)
    where exec_id is not null and limit_key is not null;
-- Reader: tasks/reap.sql.
create index live_tasks_deadline on fencepost.live_tasks (deadline_at) where deadline_at is not null;
-- Reader: tasks/held.sql.
create index live_tasks_request on fencepost.live_tasks (held_by, request_id) where request_id is not null;

create table fencepost.done_tasks (
    seq bigint not null,
    created_at timestamptz not null,
    asked_execute_at timestamptz,
    execute_at timestamptz,
    done_at timestamptz not null,
    exec_id uuid,
    version integer not null,
    retry_count integer not null,
    action text not null,
    done_by text not null,
    status_before text not null,
    outcome text not null,
    reason_type text,
    reason_message text,
    worker text,
    cancel_delivered_at timestamptz,
    cancel_delivered_to text,
    cancel_delivery json,
    id text not null,
    definition text not null,
    definition_version integer not null,
    label text,
    created_by text not null,
    requester json not null,
    params json,
    result json,
    error json,
    -- The time stands in it because a key must name what its table is parted by; a number is there once all the same,
    -- since it comes here from live_tasks and leaves for there.
    constraint done_tasks_pkey primary key (seq, done_at),
    constraint done_tasks_outcome check (outcome in ('succeeded', 'failed', 'canceled')),
    constraint done_tasks_failure_has_reason check ((reason_type is not null) = (outcome = 'failed')),
    constraint done_tasks_only_cancels_are_delivered check (cancel_delivered_at is null or outcome = 'canceled')
) partition by range (done_at);

-- Takes what no other partition does, so that work can always end.
create table fencepost.done_tasks_default partition of fencepost.done_tasks default;

-- Reader: tasks/list.sql with an outcome. Most tasks succeed: who lists those finds them by any index.
create index done_tasks_outcome on fencepost.done_tasks (outcome, seq) where outcome <> 'succeeded';

create table fencepost.task_log (
    seq bigint not null,
    at timestamptz not null,
    version integer not null,
    retry_count integer not null,
    execute_at timestamptz,
    deadline_at timestamptz,
    exec_id uuid,
    action text not null,
    caller text not null,
    worker text,
    status_before text not null,
    status text not null,
    outcome text,
    reason_type text,
    reason_message text,
    action_params json,
    constraint task_log_pkey primary key (seq, version, at),
    -- The same table as domain/transitions.py, checked by a test. As one `case`, since Postgres reads the text of each
    -- check anew for every statement, before the first row: all of them together were 60 us of a lone claim.
    constraint task_log_transition check (
        status = any (
            case status_before
                when 'waiting' then '{ready,done}'::text[]
                when 'ready' then '{requested,in-progress,done}'::text[]
                when 'requested' then '{ready,in-progress,done}'::text[]
                when 'in-progress' then '{ready,waiting,in-progress,done}'::text[]
                when 'done' then '{ready,done}'::text[]
                else '{}'::text[]
            end
        )
        -- Says where a live task stands when retention takes the entries that said it, and moves nothing.
        or (
            action = 'awf.engine/snapshot'
            and status = status_before and status in ('waiting', 'ready', 'requested', 'in-progress')
        )
    )
) partition by range (at);

create table fencepost.task_log_default partition of fencepost.task_log default;

-- What there is goes into a table of its own: rows in the default one would be read whenever a partition is made.
do $$ begin
    if exists (select from fencepost.done_tasks_before) then
        create table fencepost.done_tasks_until_0003 partition of fencepost.done_tasks
            for values from (minvalue) to (date_trunc('minute', statement_timestamp()) + interval '1 minute');
    end if;
    if exists (select from fencepost.task_log_before) then
        create table fencepost.task_log_until_0003 partition of fencepost.task_log
            for values from (minvalue) to (date_trunc('minute', statement_timestamp()) + interval '1 minute');
    end if;
end $$;

insert into fencepost.done_tasks
    (seq, created_at, asked_execute_at, execute_at, done_at, exec_id, version, retry_count, action, done_by,
     status_before, outcome, reason_type, reason_message, worker, cancel_delivered_at, cancel_delivered_to,
     cancel_delivery, id, definition, definition_version, label, created_by, requester, params, result, error)
select
    t.seq, t.created_at, t.execute_at, d.execute_at, d.done_at, d.exec_id, d.version, d.retry_count, d.action,
    d.done_by, d.status_before, d.outcome, d.reason_type, d.reason_message, d.worker, d.cancel_delivered_at,
    d.cancel_delivered_to, d.cancel_delivery, t.id, t.definition, t.definition_version, t.label, t.created_by,
    t.requester, t.params, d.result, d.error
from fencepost.done_tasks_before as d
join fencepost.tasks as t on t.seq = d.seq
order by t.seq;

insert into fencepost.task_log
    (seq, at, version, retry_count, execute_at, deadline_at, exec_id, action, caller, worker, status_before, status,
     outcome, reason_type, reason_message, action_params)
select
    g.seq, g.at, g.version, g.retry_count, g.execute_at, g.deadline_at, g.exec_id, g.action, g.caller, g.worker,
    g.status_before, g.status, g.outcome, g.reason_type, g.reason_message, g.action_params
from fencepost.task_log_before as g;

select setval('fencepost.task_seq', coalesce(max(t.seq), 1), max(t.seq) is not null) from fencepost.tasks as t;

drop table fencepost.tasks, fencepost.live_tasks_before, fencepost.done_tasks_before, fencepost.task_log_before;

-- A task as it stands now: one row a task, live or done.
create view fencepost.task_resources as
select
    l.seq, l.id, l.definition, l.definition_version, l.label, l.params, l.requester, l.created_at,
    l.status, l.version, l.exec_id, l.retry_count, l.execute_at, l.deadline_at, l.updated_at, l.worker,
    null::text as outcome, null::text as reason_type, null::text as reason_message, null::json as result,
    null::json as error
from fencepost.live_tasks as l
union all
select
    d.seq, d.id, d.definition, d.definition_version, d.label, d.params, d.requester, d.created_at,
    'done', d.version + (d.cancel_delivered_at is not null)::integer, d.exec_id, d.retry_count, d.execute_at, null,
    coalesce(d.cancel_delivered_at, d.done_at), d.worker,
    d.outcome, d.reason_type, d.reason_message, d.result, d.error
from fencepost.done_tasks as d;

-- The whole log: each entry carries the state that it left behind, so that the newest one is the current state. The
-- first entry of a task and the last one are not written twice: the one follows from its row, the other is its row.
create view fencepost.task_entries as
with created as not materialized (
    select l.seq, l.created_at, l.created_by, l.asked_execute_at from fencepost.live_tasks as l
    union all
    select d.seq, d.created_at, d.created_by, d.asked_execute_at from fencepost.done_tasks as d
)
select
    t.seq,
    1 as version,
    t.created_at as at,
    'awf.task/create-and-execute' as action,
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
