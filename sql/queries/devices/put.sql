-- Register a device, or replace its info.
-- Takes:   name; info json; now.
-- Returns: the device (name, info, seen_at, due_at, task_id, created_at).
-- Touches: devices.
insert into fencepost.devices (name, info, created_at)
values (%(name)s::text, %(info)s::json, coalesce(%(now)s::timestamptz, statement_timestamp()))
on conflict (name) do update set info = excluded.info
returning name, info, seen_at, due_at, task_id, created_at
