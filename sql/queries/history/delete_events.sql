-- Delete old events and the starts of their triggers, a batch at a time; their ids can be used again.
-- Takes:   retention interval; batch integer; now.
-- Returns: one row (count), how many events were deleted.
-- Touches: events, trigger_starts.
with old as materialized (
    select e.key
    from fencepost.events as e
    where e.at < coalesce(%(now)s::timestamptz, statement_timestamp()) - %(retention)s::interval
    order by e.at
    limit %(batch)s::integer
    for update skip locked
),
unnoted as (
    delete from fencepost.trigger_starts as s
    using old as o
    -- Ranges, because the planner may join equal keys by reading the whole index.
    where s.event_key between o.key and o.key
),
gone as (
    delete from fencepost.events as e
    using old as o
    where e.key between o.key and o.key
    returning e.key
)
select count(*)::integer as count
from gone
