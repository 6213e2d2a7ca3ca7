-- Create the schema and the table of the demo.
-- Takes:   nothing.
-- Returns: nothing.
-- Touches: creates demo.resources.
-- One at a time: `if not exists` checks before it creates, so that one of two concurrent executors could fail.
select pg_advisory_xact_lock(hashtextextended('fencepost demo', 0));
create schema if not exists demo;
create table if not exists demo.resources (
    resource_type text not null,
    id text not null,
    resource jsonb not null,
    changed_at timestamptz not null default now(),
    primary key (resource_type, id)
);
