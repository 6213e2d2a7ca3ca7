-- Delete old runs of schedules, a batch at a time.
-- Takes:   retention interval; batch integer; now.
-- Returns: one row (count), how many were deleted.
-- Touches: schedule_starts.
with old as materialized (
    select t.name, t.seq
    from fencepost.schedule_starts as t
    where t.at < coalesce(%(now)s::timestamptz, statement_timestamp()) - %(retention)s::interval
    order by t.at
    limit %(batch)s::integer
    for update skip locked
),
gone as (
    delete from fencepost.schedule_starts as t
    using old as o
    where t.name = o.name and t.seq = o.seq
    returning t.seq
)
select count(*)::integer as count
from gone
