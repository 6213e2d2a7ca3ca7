-- Extend the expiry of tasks that expired during an outage, or will in the grace period after it.
-- Takes:   grace interval; now.
-- Returns: nothing. A task is extended once, so that servers that restart again and again do not keep it from expiring.
-- Touches: live_tasks, task_log.
with late as materialized (
    select l.ctid as place, coalesce(%(now)s::timestamptz, statement_timestamp()) as now
    from fencepost.live_tasks as l
    where l.deadline_at <= coalesce(%(now)s::timestamptz, statement_timestamp()) + %(grace)s::interval
        and l.expires_at <= coalesce(%(now)s::timestamptz, statement_timestamp()) + %(grace)s::interval
        and l.expires_at <= l.created_at + fencepost.term(l.settings, 'expiresAfter', null)
        and l.status in ('waiting', 'ready')
    for update skip locked
),
spared as (
    update fencepost.live_tasks as l
    set version = l.version + 1,
        expires_at = p.now + %(grace)s::interval,
        deadline_at = least(case when l.status = 'waiting' then l.ready_at end, p.now + %(grace)s::interval),
        updated_at = p.now
    from late as p
    where l.ctid = p.place
    returning l.seq, l.version, l.updated_at, l.status, l.retry_count, l.execute_at, l.deadline_at
)
insert into fencepost.task_log
    (seq, version, at, action, caller, status_before, status, retry_count, execute_at, deadline_at)
select
    s.seq, s.version, s.updated_at, 'awf.engine/snapshot', 'awf.engine', s.status, s.status, s.retry_count,
    s.execute_at, s.deadline_at
from spared as s
