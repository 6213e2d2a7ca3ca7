-- What the server sees of the workers of machines beside their reports. It belongs to a workflow, and goes with its name.

-- The running action that its worker was offered, and begins again: it announces none of the actions that follow.
create table fencepost.machine_passes (
    workflow_id text not null,
    task_id text not null,
    constraint machine_passes_pkey primary key (workflow_id),
    constraint machine_passes_workflow foreign key (workflow_id) references fencepost.workflow_names (id)
        on delete cascade
);

-- A worker that reports again and again that an action of a finished workflow runs, and does nothing else.
create table fencepost.machine_stuck (
    workflow_id text not null,
    since timestamptz not null,
    last_at timestamptz not null,
    task text not null,
    action text not null,
    worker text not null,
    constraint machine_stuck_pkey primary key (workflow_id),
    constraint machine_stuck_workflow foreign key (workflow_id) references fencepost.workflow_names (id)
        on delete cascade
);
