-- Lock those of some due schedules that are still as they were seen and that nobody else is at.
-- Takes:   calls json: [{name, version, due_at}].
-- Returns: per locked schedule (name, live, started): whether what it started last is still under way, and whether its due
--          time was started already, by a backfill.
-- Touches: row locks of schedules; reads schedule_starts, live_tasks, task_names, live_workflows, workflow_names.
select
    s.name,
    fencepost.is_live(s.last_reference, s.last_seq) as live,
    -- Not `exists`, which may be answered by reading all that was ever started.
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
-- Looked up one by one, also in a plan that was made while the table was empty.
cross join lateral (
    select s.name, s.due_at, s.last_reference, s.last_seq
    from fencepost.schedules as s
    where s.name = c.name
        and s.version = c.version
        and s.due_at = c.due_at
    -- Whoever holds one is doing the same, or changing it, and leaves another due time behind.
    for update skip locked
) as s
