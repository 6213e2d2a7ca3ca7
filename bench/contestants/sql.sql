-- Tables of the plain SQL contestant: a small hot table, history with a key, a log row per transition.
create table definition (name text primary key);

-- A lease updates only columns without an index, in pages with free space, so that no index is written.
create table live (
    seq bigint generated always as identity primary key,
    running boolean not null default false,
    exec_id uuid,
    deadline_at timestamptz,
    created_at timestamptz not null default now(),
    params json
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

create table history (
    seq bigint primary key,
    outcome text not null,
    exec_id uuid not null,
    created_at timestamptz not null,
    done_at timestamptz not null,
    params json,
    result json
);

create table log (
    seq bigint not null,
    at timestamptz not null,
    action text not null,
    exec_id uuid,
    primary key (seq, at, action)
);
