-- Read a batch of old tasks and delete those that match a rule, with their log and their names.
-- Takes:   age interval, how long ago they must have ended; include, exclude text[], definitions (each null for any);
--          after bigint, the seq after which the batch begins (0 for the first); batch integer; now.
-- Returns: one row (last, tasks, entries): the next `after`, null when there are no more; how many tasks and log
--          entries were deleted.
-- Touches: done_tasks, task_log, task_names; reads live_workflows.
with looked as materialized (
    -- The limit counts rows read, not rows deleted: a rule that matches little must not scan a long history in one
    -- batch.
    select
        d.seq, d.done_at, d.workflow_seq,
        -- As in task lists: all decision tasks share one definition.
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
        -- The decider of a live workflow may still ask for all its activities. A finished workflow is never live again.
        and not exists (select from fencepost.live_workflows as w where w.seq = l.workflow_seq)
),
gone as (
    delete from fencepost.done_tasks as d
    using old as o
    -- Waits for a retry in progress, which removes the row. Ranges, because the planner may join equal keys by reading
    -- the whole index.
    where d.seq between o.seq and o.seq and d.done_at between o.done_at and o.done_at
    returning d.id, d.seq, d.cancel_delivered_at,
        fencepost.lease_action(d.lease_entry, d.version - 1) as lease_action
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
    -- The first and the last entries, and the lease before the last, are stored in the task's row, not in task_log.
    (
        count(*) + count(*) + count(g.lease_action) + count(g.cancel_delivered_at) + (select count(*) from logged)
    )::integer as entries
from gone as g
