-- Lock live tasks until the transaction ends, and read their state.
-- Takes:   calls json: [{call, id, seq}]; now. `seq` as in success.sql.
-- Returns: per live task (call, seq, status, exec_id, is_late); `is_late` says whether it is ready and has expired. A
--          finished task has no row.
-- Touches: row locks of live_tasks; reads task_names. Run after workflows/lock.sql.
select c.call, l.seq, l.status, l.exec_id, l.is_late
from json_to_recordset(%(calls)s::json) as c (call integer, id text, seq bigint)
cross join lateral (
    select
        l.seq, l.status, l.exec_id,
        l.status = 'ready' and coalesce(l.expires_at <= coalesce(%(now)s::timestamptz, statement_timestamp()), false)
            as is_late
    from fencepost.live_tasks as l
    where l.seq = coalesce(c.seq, (select n.seq from fencepost.task_names as n where n.id = c.id)) and l.id = c.id
    offset 0
    for update
) as l
-- Lock in the order that batches use.
order by convert_to(c.id, 'UTF8')
