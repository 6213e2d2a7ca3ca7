-- Set the version and the next due time of a schedule; the rest of its state stays.
-- Takes:   name; version integer; due_at, starts_at, the next due time and its start (null when there is none).
-- Returns: nothing.
-- Touches: schedules. Run after definitions/put.sql and lock.sql in one transaction.
insert into fencepost.schedules as s (name, version, due_at, starts_at)
values (%(name)s::text, %(version)s::integer, %(due_at)s::timestamptz, %(starts_at)s::timestamptz)
on conflict (name) do update
set version = excluded.version, due_at = excluded.due_at, starts_at = excluded.starts_at
