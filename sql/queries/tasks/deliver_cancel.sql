-- Record that the worker of a canceled task was notified of the cancel; only the first delivery is logged.
-- Takes:   id, seq (as in find.sql), exec_id, notification json, caller; age interval, for how long a receipt counts;
--          now.
-- Returns: one row (canceled) when the task was canceled under this execId, also for a later delivery; else no row.
-- Touches: done_tasks; reads task_names, receipts.
with canceled as materialized (
    select d.seq, d.done_at
    from fencepost.done_tasks as d
    where d.seq = coalesce(%(seq)s::bigint, (select n.seq from fencepost.task_names as n where n.id = %(id)s::text))
        and d.id = %(id)s::text and d.exec_id = %(exec_id)s::uuid and d.outcome = 'canceled'
    -- Without the lock, a task that is retried at the same time would still count as canceled.
    for update of d
),
told as (
    update fencepost.done_tasks as d
    set cancel_delivered_at = coalesce(%(now)s::timestamptz, statement_timestamp()),
        cancel_delivered_to = %(caller)s::text,
        cancel_delivery = %(notification)s::json
    from canceled as c
    where d.seq = c.seq and d.done_at = c.done_at and d.cancel_delivered_at is null
)
select true as canceled
from canceled
union all
select true
from fencepost.receipts as r
where r.prefix = left(%(exec_id)s::text, 18) and r.outcome = 'canceled'
    and r.at > coalesce(%(now)s::timestamptz, statement_timestamp()) - %(age)s::interval
    and coalesce(%(seq)s::bigint, (select n.seq from fencepost.task_names as n where n.id = %(id)s::text)) = any(r.seqs)
