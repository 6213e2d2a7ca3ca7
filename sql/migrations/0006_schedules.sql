-- Schedules: where each stands, and what became of its due times. What they say is in their definitions.

create table fencepost.schedules (
    name text not null,
    -- The newest one of its definition.
    version integer not null,
    -- The oldest due time that nothing was done about, and when its start is to be, which jitter puts off. What is paused
    -- has none.
    due_at timestamptz,
    starts_at timestamptz,
    paused_at timestamptz,
    -- What was done last by itself; `last_reference` is what was started last, whatever was skipped since.
    last_schedule timestamptz,
    last_status text,
    last_reason text,
    last_reference json,
    -- The number of the task that `last_reference` names, where its id carries it.
    last_seq bigint,
    constraint schedules_pkey primary key (name),
    constraint schedules_last_status check (last_status in ('started', 'skipped')),
    constraint schedules_due_and_start check ((due_at is null) = (starts_at is null)),
    constraint schedules_paused_is_not_due check (paused_at is null or due_at is null)
)
-- Every start changes `starts_at`, which is in an index, and little else.
with (fillfactor = 70);

-- Readers: schedules/due.sql, next_due.sql.
create index schedules_next on fencepost.schedules (starts_at);

-- Whether a task or workflow is under way, by its reference and, for a task whose id carries it, its number.
create function fencepost.is_live(reference json, task_seq bigint) returns boolean
language sql stable
return case reference ->> 'resourceType'
    when 'AidboxTask' then exists (
        select from fencepost.live_tasks as l
        where l.seq = coalesce(task_seq, (select n.seq from fencepost.task_names as n where n.id = reference ->> 'id'))
    )
    when 'AidboxWorkflow' then exists (
        select from fencepost.live_workflows as w
        where w.seq = (select n.seq from fencepost.workflow_names as n where n.id = reference ->> 'id')
    )
    else false
end;

-- What became of due times, and what was started by hand. Kept for the retention, also when the schedule is deleted.
create table fencepost.schedule_starts (
    name text not null,
    seq bigint generated always as identity,
    version integer not null,
    -- For a manual start the time at which it was asked for.
    due_at timestamptz not null,
    -- Behind an outage one row says that everything from `due_at` on and before this was skipped.
    until_at timestamptz,
    kind text not null,
    status text not null,
    -- Why it was skipped: late, still-live, paused, or refused, which the message is about.
    reason text,
    message text,
    reference json,
    -- What a caller named a manual start by.
    id text,
    at timestamptz not null,
    constraint schedule_starts_pkey primary key (name, seq),
    constraint schedule_starts_kind check (kind in ('scheduled', 'setup', 'manual', 'backfill')),
    constraint schedule_starts_status check (status in ('started', 'skipped')),
    constraint schedule_starts_reference_of_started check ((reference is not null) = (status = 'started')),
    constraint schedule_starts_reason_of_skipped check ((reason is not null) = (status = 'skipped')),
    constraint schedule_starts_id_of_manual check ((id is not null) = (kind = 'manual'))
);

-- Exactly one start a due time, whatever made it, and one a name that a caller gave.
create unique index schedule_starts_due on fencepost.schedule_starts (name, due_at)
    where status = 'started' and kind in ('scheduled', 'backfill');
create unique index schedule_starts_id on fencepost.schedule_starts (name, id) where kind = 'manual';
-- Reader: history/delete_starts.sql.
create index schedule_starts_at on fencepost.schedule_starts (at);
