-- People: teams, partners, and what is written to their tasks. A task list is a workflow, a task of it is a task: what is
-- here lies over them.

create table fencepost.people_teams (
    code text not null,
    description text not null,
    department text,
    constraint people_teams_pkey primary key (code),
    constraint people_teams_code check (length(code) between 1 and 8)
);

create table fencepost.people_members (
    member text not null,
    team text not null,
    constraint people_members_pkey primary key (member, team),
    constraint people_members_team foreign key (team) references fencepost.people_teams (code)
);

create table fencepost.people_partners (
    code text not null,
    description text not null,
    constraint people_partners_pkey primary key (code)
);

create table fencepost.people_contacts (
    partner text not null,
    code text not null,
    description text not null,
    constraint people_contacts_pkey primary key (partner, code),
    constraint people_contacts_partner foreign key (partner) references fencepost.people_partners (code)
);

-- What was written to a task; one that nobody wrote to has no row. `seq` is the number of its first core task.
create table fencepost.people_tasks (
    seq bigint not null,
    workflow_seq bigint not null,
    -- Its core tasks: what is done stays done, and is taken up again by a new one. Empty while there is only the first.
    core_seqs bigint[] not null default '{}',
    progress_message text,
    exception_message text,
    -- When that was said or cleared; a failure since then says more.
    exception_at timestamptz,
    domain_object_key text,
    domain_object_code text,
    locked_by text,
    -- The replay, and when it was made; null until an event was confirmed.
    replayed_at timestamptz,
    bi_assigned_to_team text,
    bi_assigned_to_user text,
    bi_task_status text,
    bi_priority text,
    bi_due_date_time timestamptz,
    bi_completion_date_time timestamptz,
    -- The execution that the status is about, where there is one: in another it says nothing.
    exec_id uuid,
    -- How far the log of the newest core task had come.
    core_version integer,
    constraint people_tasks_pkey primary key (seq),
    constraint people_tasks_replay check (
        (replayed_at is null) = (num_nulls(bi_assigned_to_team, bi_task_status, bi_priority, bi_due_date_time) > 0)
    ),
    constraint people_tasks_progress check (length(progress_message) <= 30)
);

-- Reader: people/forget.sql, in the order in which lists began.
create index people_tasks_workflow on fencepost.people_tasks (workflow_seq);

-- The three streams. What workers do to automatic tasks stands in the log.
create table fencepost.people_events (
    task_seq bigint not null,
    stream text not null,
    event_date_time timestamptz not null,
    number bigint generated always as identity,
    by_user text not null,
    processed boolean not null,
    -- How far the log of the newest core task had come: what is there is before this event, and the rest behind it.
    core_seq bigint not null,
    core_version integer not null,
    bi_task_status text,
    assigned_to_team text,
    assigned_to_user text,
    priority text,
    due_date_time timestamptz,
    constraint people_events_pkey primary key (task_seq, stream, event_date_time),
    constraint people_events_number unique (number),
    constraint people_events_task foreign key (task_seq) references fencepost.people_tasks (seq) on delete cascade,
    constraint people_events_stream check (
        case stream
            when 'status' then bi_task_status is not null and num_nonnulls(assigned_to_team, assigned_to_user, priority, due_date_time) = 0
            when 'transfer' then assigned_to_team is not null and num_nonnulls(bi_task_status, priority, due_date_time) = 0
            when 'plan' then num_nonnulls(priority, due_date_time) = 2 and num_nonnulls(bi_task_status, assigned_to_team, assigned_to_user) = 0
            else false
        end
    ),
    constraint people_events_status check (bi_task_status in ('PE', 'AS', 'IN', 'WA', 'EX', 'CA', 'CO', 'LO'))
);

create function fencepost.people_event_stays() returns trigger
language plpgsql
as $$
begin
    if (to_jsonb(new) - 'processed') <> (to_jsonb(old) - 'processed') or old.processed then
        raise exception 'an event never changes; it is only processed, once';
    end if;
    return new;
end
$$;

create trigger people_events_stay before update on fencepost.people_events
for each row execute function fencepost.people_event_stays();

create table fencepost.people_mails (
    task_seq bigint not null,
    mail_message text not null,
    constraint people_mails_pkey primary key (task_seq, mail_message),
    constraint people_mails_task foreign key (task_seq) references fencepost.people_tasks (seq) on delete cascade
);

-- The statuses that a people's task may be in over a core task; the one that it has by itself comes first.
create function fencepost.people_statuses(status text, outcome text) returns text[]
language sql immutable parallel safe
return case coalesce(outcome, status)
    when 'waiting' then '{PE}'::text[]
    when 'ready' then '{PE}'::text[]
    when 'requested' then '{AS}'::text[]
    when 'in-progress' then '{IN,WA,EX,LO}'::text[]
    when 'succeeded' then '{CO}'::text[]
    when 'failed' then '{EX}'::text[]
    when 'canceled' then '{CA}'::text[]
end;

-- The tasks of all lists as they stand. The status is what was replayed last, unless the core task says otherwise: what
-- happened to that since then stands in the log.
create view fencepost.people_resources as
select
    w.seq as workflow_seq, w.id as task_list, w.definition as process, w.definition_version as process_version,
    w.status <> 'done' as is_list_live,
    a.seq, f.id, substr(a.label, 6)::integer as line_number, f.params as fields, f.created_at as start_date_time,
    due.initial_due_date_time,
    p.progress_message,
    case
        when c.outcome = 'failed' and (p.exception_at is null or p.exception_at < c.updated_at)
            then coalesce(c.error ->> 'message', c.reason_message)
        else p.exception_message
    end as exception_message,
    p.domain_object_key, p.domain_object_code, p.locked_by,
    case when p.replayed_at is null then f.params ->> 'initialAssignedToTeam' else p.bi_assigned_to_team end
        as bi_assigned_to_team,
    case when p.replayed_at is null then f.params ->> 'initialAssignedToUser' else p.bi_assigned_to_user end
        as bi_assigned_to_user,
    s.bi_task_status,
    coalesce(p.bi_priority, f.params ->> 'initialPriority') as bi_priority,
    coalesce(p.bi_due_date_time, due.initial_due_date_time) as bi_due_date_time,
    case when s.bi_task_status = 'CO' then coalesce(p.bi_completion_date_time, c.updated_at) end
        as bi_completion_date_time,
    c.seq as core_seq, c.id as core_id, c.status as core_status, c.outcome as core_outcome, c.exec_id as core_exec_id,
    c.updated_at as core_updated_at, c.version as core_version, greatest(cardinality(p.core_seqs), 1) as core_rounds,
    c.result, a.label as line
from fencepost.workflow_resources as w
join fencepost.definitions as d
    on d.name = w.definition and d.version = w.definition_version and d.kind = 'process'
join fencepost.activities as a on a.workflow_seq = w.seq and not a.is_workflow and a.label ~ '^line/[0-9]+$'
-- `offset 0` keeps each look-up a probe of an index in every plan, also in one made while a table was empty.
cross join lateral (
    select r.id, r.params, r.created_at from fencepost.task_resources as r where r.seq = a.seq offset 0
) as f
cross join lateral (
    select coalesce(
        (f.params ->> 'initialDueDateTime')::timestamptz,
        f.created_at + make_interval(days => coalesce((f.params ->> 'dueDays')::integer, 0))
    ) as initial_due_date_time
) as due
left join lateral (select t.* from fencepost.people_tasks as t where t.seq = a.seq offset 0) as p on true
cross join lateral (
    select r.seq, r.id, r.status, r.outcome, r.exec_id, r.updated_at, r.version, r.error, r.reason_message, r.result
    from fencepost.task_resources as r
    where r.seq = coalesce(p.core_seqs[cardinality(p.core_seqs)], a.seq)
    offset 0
) as c
cross join lateral (
    select case
        when p.replayed_at is null and c.version = 1 then f.params ->> 'initialTaskStatus'
        when p.bi_task_status = any(fencepost.people_statuses(c.status, c.outcome))
            and (c.status <> 'in-progress' or c.exec_id = p.exec_id) then p.bi_task_status
        else (fencepost.people_statuses(c.status, c.outcome))[1]
    end as bi_task_status
) as s;
