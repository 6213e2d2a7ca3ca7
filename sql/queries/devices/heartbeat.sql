-- Note a sign of life of a device, known before or not.
-- Takes:   name; watch boolean, whether it is to be watched from now on; silence in ms, after which one that is watched is
--          taken to be gone; task_id text, what it was just told to do (null: nothing new); now.
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
        -- Whoever was watched before stays so, however it shows that it lives.
        when d.due_at is not null
            then greatest(d.due_at, excluded.seen_at + %(silence)s::bigint * interval '1 millisecond')
    end,
    task_id = coalesce(excluded.task_id, d.task_id)
