-- Devices: what is known of those that work on device runs. A run itself is a workflow, and its tasks are tasks.

create table fencepost.devices (
    name text primary key collate "C",
    -- What it is registered with, by whoever manages it.
    info json not null,
    -- Its last sign of life: a connection, an answer to a question for it, a report.
    seen_at timestamptz,
    -- When it is taken to be gone, unless there is another sign before. One that uses no channel has none.
    due_at timestamptz,
    -- What it was told to do last over a channel: when it comes back, it hears what has become of that.
    task_id text,
    created_at timestamptz not null,
    constraint devices_name check (name ~ '^[A-Za-z0-9_.-]{1,100}$')
) with (fillfactor = 50);

-- For who looks after those that fell silent.
create index devices_due on fencepost.devices (due_at) where due_at is not null;
