-- Find where a schedule stands.
-- Takes:   name; now.
-- Returns: one row (version, document, due_at, paused_at, live, now), or none. `live` says whether what it started last is
--          still under way.
-- Touches: nothing; reads schedules, definitions, live_tasks, task_names, live_workflows, workflow_names. Behind lock.sql
--          and not with it: it must see what was started while that waited.
select
    s.version, d.document, s.due_at, s.paused_at,
    fencepost.is_live(s.last_reference, s.last_seq) as live,
    coalesce(%(now)s::timestamptz, statement_timestamp()) as now
from fencepost.schedules as s
join fencepost.definitions as d on d.name = s.name and d.version = s.version
where s.name = %(name)s::text
