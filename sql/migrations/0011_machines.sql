-- What workflows are about, by which they can be found, live or over: as their documents say when they begin.
create table fencepost.workflow_subjects (
    subject text collate "C" not null,
    workflow_seq bigint not null,
    workflow_id text not null,
    constraint workflow_subjects_pkey primary key (subject, workflow_seq),
    -- They go with the workflow's name, when its history does.
    constraint workflow_subjects_workflow foreign key (workflow_id) references fencepost.workflow_names (id)
        on delete cascade
);
-- Reader: the deletion of a workflow.
create index workflow_subjects_workflow on fencepost.workflow_subjects (workflow_id);

-- Machines: their records, what they reported, and the data that their workflows carry along.

-- A machine as it was pushed; what we read of the record are its addresses.
create table fencepost.hardware (
    id text not null,
    record json not null,
    pushed_at timestamptz not null,
    pushed_by text not null,
    constraint hardware_pkey primary key (id)
);

-- By which addresses a machine is known. An address leads to one machine.
create table fencepost.hardware_addresses (
    address text not null,
    hardware_id text not null,
    constraint hardware_addresses_pkey primary key (address),
    constraint hardware_addresses_hardware foreign key (hardware_id) references fencepost.hardware (id) on delete cascade
);
-- Readers: hardware/push.sql, names.sql, and the deletion of a machine.
create index hardware_addresses_hardware on fencepost.hardware_addresses (hardware_id);

-- Every report that was taken, also one that came again or too late and changed nothing. What stands in these tables
-- belongs to a workflow, and goes when its name does.
create table fencepost.machine_reports (
    seq bigint generated always as identity,
    workflow_id text not null,
    at timestamptz not null,
    task text not null,
    action text not null,
    state smallint not null,
    seconds bigint not null,
    message text not null,
    worker text not null,
    -- What it did to the task of the action; null for nothing.
    verb text,
    constraint machine_reports_pkey primary key (seq),
    constraint machine_reports_workflow foreign key (workflow_id) references fencepost.workflow_names (id)
        on delete cascade,
    constraint machine_reports_state check (state between 1 and 4),
    constraint machine_reports_verb check (verb in ('start', 'success', 'fail'))
);
-- Readers: machines/reports.sql, and the deletion of a workflow.
create index machine_reports_workflow on fencepost.machine_reports (workflow_id, seq);

create table fencepost.machine_data (
    workflow_id text not null,
    version integer not null,
    metadata json not null,
    -- Null when newer versions have taken its place.
    data json,
    constraint machine_data_pkey primary key (workflow_id, version),
    constraint machine_data_workflow foreign key (workflow_id) references fencepost.workflow_names (id) on delete cascade
);

-- Workflows that somebody deleted: they are no longer shown to machines.
create table fencepost.machine_deletions (
    workflow_id text not null,
    at timestamptz not null,
    constraint machine_deletions_pkey primary key (workflow_id),
    constraint machine_deletions_workflow foreign key (workflow_id) references fencepost.workflow_names (id)
        on delete cascade
);
