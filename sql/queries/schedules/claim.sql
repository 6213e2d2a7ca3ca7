-- Lock due schedules that have not changed since they were read and that no other server is starting.
-- Takes:   calls json: [{name, version, due_at}].
-- Returns: per locked schedule (name, live, started): whether its last run is still live, and whether its due time was
--          already started by a backfill.
-- Touches: row locks of schedules; reads schedule_starts, live_tasks, task_names, live_workflows, workflow_names.
select
    s.name,
    fencepost.is_live(s.last_reference, s.last_seq) as live,
    -- Not `exists`, which the planner may turn into a join with all runs.
    coalesce(
        (
            select true
            from fencepost.schedule_starts as t
            where t.name = s.name and t.due_at = s.due_at
                and t.status = 'started' and t.kind in ('scheduled', 'backfill')
        ),
        false
    ) as started
from json_to_recordset(%(calls)s::json) as c (name text, version integer, due_at timestamptz)
-- Lateral, so that each is an index probe, also in a plan made while the table was empty.
cross join lateral (
    select s.name, s.due_at, s.last_reference, s.last_seq
    from fencepost.schedules as s
    where s.name = c.name
        and s.version = c.version
        and s.due_at = c.due_at
    -- The holder of a locked row is starting it or changing it, and leaves another due time.
    for update skip locked
) as s
