-- Find the state of a schedule.
-- Takes:   name; now.
-- Returns: one row (version, document, due_at, paused_at, live, now), or no row. `live` says whether its last run is
--          still live.
-- Touches: nothing; reads schedules, definitions, live_tasks, task_names, live_workflows, workflow_names. A statement
--          of its own, run after lock.sql: it must see runs that were started while that statement waited.
select
    s.version, d.document, s.due_at, s.paused_at,
    fencepost.is_live(s.last_reference, s.last_seq) as live,
    coalesce(%(now)s::timestamptz, statement_timestamp()) as now
from fencepost.schedules as s
join fencepost.definitions as d on d.name = s.name and d.version = s.version
where s.name = %(name)s::text
