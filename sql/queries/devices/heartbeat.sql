-- Record a heartbeat of a device, registered or not.
-- Takes:   name; watch boolean, whether the device is watched from now on; silence in ms, after which a watched device
--          expires; task_id text, the task that was just sent to it (null for none); now.
-- Returns: nothing.
-- Touches: devices.
insert into fencepost.devices as d (name, info, seen_at, due_at, task_id, created_at)
select
    %(name)s::text, '{}', t.now,
    case when %(watch)s::boolean then t.now + %(silence)s::bigint * interval '1 millisecond' end,
    %(task_id)s::text, t.now
from (select coalesce(%(now)s::timestamptz, statement_timestamp()) as now) as t
on conflict (name) do update set
    seen_at = greatest(d.seen_at, excluded.seen_at),
    due_at = case
        when excluded.due_at is not null then greatest(d.due_at, excluded.due_at)
        -- A device that is already watched stays watched, whatever kind of heartbeat it sends.
        when d.due_at is not null
            then greatest(d.due_at, excluded.seen_at + %(silence)s::bigint * interval '1 millisecond')
    end,
    task_id = coalesce(excluded.task_id, d.task_id)
