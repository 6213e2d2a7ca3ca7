-- Put off the end of tasks that expired during an outage, or will in the grace after it: nobody could begin them meanwhile.
-- Takes:   grace interval; now.
-- Returns: nothing. Once a task, so that servers which start again and again do not keep it from expiring.
-- Touches: live_tasks; reads nothing else.
with late as materialized (
    select l.ctid as place, coalesce(%(now)s::timestamptz, statement_timestamp()) + %(grace)s::interval as until
    from fencepost.live_tasks as l
    where l.deadline_at <= coalesce(%(now)s::timestamptz, statement_timestamp()) + %(grace)s::interval
        and l.expires_at <= coalesce(%(now)s::timestamptz, statement_timestamp()) + %(grace)s::interval
        and l.expires_at <= l.created_at + fencepost.term(l.settings, 'expiresAfter', null)
        and l.status in ('waiting', 'ready')
    for update skip locked
)
update fencepost.live_tasks as l
set expires_at = p.until,
    deadline_at = case when l.status = 'ready' then p.until else least(l.ready_at, p.until) end
from late as p
where l.ctid = p.place
