-- Log the state of live tasks whose newest log entry is about to be dropped, a batch at a time.
-- Takes:   ends_at, the time before which entries are dropped; after bigint, the seq after which the batch begins (0
--          for the first); batch integer; now.
-- Returns: one row (last, due): the next `after`, null when there are no more such tasks; and how many of the batch
--          were skipped because they are due.
-- Touches: live_tasks, task_log.
with old as materialized (
    select
        l.ctid as place, l.seq, coalesce(%(now)s::timestamptz, statement_timestamp()) as now,
        -- The reaper or a late worker is about to write an entry. An update would also end the grace period of the
        -- lease.
        coalesce(l.deadline_at <= coalesce(%(now)s::timestamptz, statement_timestamp()), false) as is_due
    from fencepost.live_tasks as l
    where l.seq > %(after)s::bigint
        -- The first entry is derived from the create request and is never deleted.
        and l.version > 1
        -- The newest entry was written when the row was last updated.
        and l.updated_at < %(ends_at)s::timestamptz
    order by l.seq
    limit %(batch)s::integer
    -- Waits instead of skipping: if the other transaction rolled back, the entry of a skipped task would be lost.
    for update
),
kept as (
    update fencepost.live_tasks as l
    set version = l.version + 1, updated_at = o.now
    from old as o
    where l.ctid = o.place and not o.is_due
    returning
        l.seq, l.version, o.now, l.worker, l.status, l.exec_id, l.retry_count, l.execute_at, l.deadline_at
),
logged as (
    insert into fencepost.task_log
        (seq, version, at, action, caller, worker, status_before, status, exec_id, retry_count, execute_at, deadline_at)
    select
        k.seq, k.version, k.now, 'awf.engine/snapshot', 'awf.engine', k.worker, k.status, k.status, k.exec_id,
        k.retry_count, k.execute_at, k.deadline_at
    from kept as k
)
select max(o.seq) as last, count(*) filter (where o.is_due)::integer as due
from old as o
