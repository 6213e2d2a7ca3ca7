-- Delete old log entries in the default partition, a batch at a time.
-- Takes:   retention interval; batch integer; now.
-- Returns: one row (count), how many were deleted.
-- Touches: task_log_default; reads live_tasks.
with old as materialized (
    select g.ctid as place
    from fencepost.task_log_default as g
    where g.at < coalesce(%(now)s::timestamptz, statement_timestamp()) - %(retention)s::interval
        -- The newest entry of a live task records its state and stays until there is a newer one.
        and not exists (select from fencepost.live_tasks as l where l.seq = g.seq and l.version = g.version)
    order by g.at
    limit %(batch)s::integer
    for update skip locked
),
gone as (
    delete from fencepost.task_log_default as g
    using old as o
    where g.ctid = o.place
    returning g.seq
)
select count(*)::integer as count
from gone
