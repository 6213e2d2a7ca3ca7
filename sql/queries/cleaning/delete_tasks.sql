-- Look at a batch of old tasks and delete those that a rule wants gone, with their log and the names that lead to them.
-- Takes:   age interval, how long ago they must have ended; include, exclude text[], of definitions (each null for any);
--          after bigint, the seq to go on behind (0 to begin); batch integer; now.
-- Returns: one row (last, tasks, entries): the seq to go on behind, null when there are no more; how many tasks were
--          deleted, and how many entries of their log.
-- Touches: done_tasks, task_log, task_names; reads live_workflows.
with looked as materialized (
    -- So many are looked at and not so many deleted: a rule that finds little in a long history must not take long.
    select
        d.seq, d.done_at, d.workflow_seq,
        -- As task lists have it: the definition that all decisions share.
        case when d.workflow_seq is not null and substr(d.id, 19, 6) = '-8001-' then 'awf.workflow/decision-task'
            else d.definition end as definition
    from fencepost.done_tasks as d
    where d.seq > %(after)s::bigint
        and d.done_at < coalesce(%(now)s::timestamptz, statement_timestamp()) - %(age)s::interval
    order by d.seq
    limit %(batch)s::integer
),
old as materialized (
    select l.seq, l.done_at
    from looked as l
    where (%(include)s::text[] is null or l.definition = any(%(include)s::text[]))
        and (%(exclude)s::text[] is null or l.definition <> all(%(exclude)s::text[]))
        -- A workflow that is over stays so, and until then its decider may ask for all that it has begun.
        and not exists (select from fencepost.live_workflows as w where w.seq = l.workflow_seq)
),
gone as (
    delete from fencepost.done_tasks as d
    using old as o
    -- Waits for a retry under way, and then there is no row. As ranges: equal keys would be joined by reading all of
    -- the index.
    where d.seq between o.seq and o.seq and d.done_at between o.done_at and o.done_at
    returning d.id, d.seq, d.cancel_delivered_at
),
logged as (
    delete from fencepost.task_log as g
    using gone as o
    where g.seq between o.seq and o.seq
    returning g.seq
),
forgotten as (
    delete from fencepost.task_names as n
    using gone as g
    where n.id in (g.id, ':' || left(g.id, 18)) and n.seq = g.seq
)
select
    (select max(l.seq) from looked as l) as last,
    count(*)::integer as tasks,
    -- The first entry and the last ones stand in the row of the task.
    (count(*) + count(*) + count(g.cancel_delivered_at) + (select count(*) from logged))::integer as entries
from gone as g
