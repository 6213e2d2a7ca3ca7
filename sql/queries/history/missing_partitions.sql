-- List the partitions that are missing from now to at least two widths ahead.
-- Takes:   width interval, of days and hours; now.
-- Returns: per partition (parent, name, begins_at, ends_at), nearest first.
-- Touches: nothing; reads history_partitions, done_tasks_default, done_workflows_default, task_log_default.
with histories as (
    select 'done_tasks' as parent, (select max(d.done_at) from fencepost.done_tasks_default as d) as stray_at
    union all
    select 'done_workflows', (select max(d.done_at) from fencepost.done_workflows_default as d)
    union all
    select 'task_log', (select max(g.at) from fencepost.task_log_default as g)
),
begun as (
    select
        h.parent, coalesce(%(now)s::timestamptz, statement_timestamp()) as now,
        greatest(
            -- Continue where the last partition ends, also when it was made with another width.
            (select max(p.ends_at) from fencepost.history_partitions as p where p.parent = h.parent),
            -- No partitions for a time in which no server ran.
            date_bin(%(width)s::interval, coalesce(%(now)s::timestamptz, statement_timestamp()), '2000-01-01 00:00:00+00'),
            -- Postgres refuses a partition whose range has rows in the default partition. These rows stay there, and
            -- the new partition begins with the next minute: moving them would hold locks for as long as it takes.
            date_trunc('minute', h.stray_at) + interval '1 minute'
        ) as begins_at
    from histories as h
)
select
    b.parent, b.parent || '_' || to_char(r.begins_at at time zone 'UTC', 'YYYYMMDD_HH24MI') as name,
    r.begins_at, bin.begins_at + %(width)s::interval as ends_at
from begun as b
cross join lateral generate_series(
    date_bin(%(width)s::interval, b.begins_at, '2000-01-01 00:00:00+00'),
    b.now + 2 * %(width)s::interval,
    %(width)s::interval
) as bin (begins_at)
cross join lateral (select greatest(bin.begins_at, b.begins_at) as begins_at) as r
where bin.begins_at < b.now + 2 * %(width)s::interval
order by r.begins_at, b.parent
