-- Thin out the notifications in a long log: keep the last of each minute of one execution.
-- Takes:   seq bigint, the task; whole integer, the log up to this version is kept whole; until integer, the log from
--          this version on is kept as it is.
-- Returns: one row (removed).
-- Touches: task_log. A removed entry is followed by another of its execution, so no state of the task is lost.
with notes as materialized (
    select
        g.version, g.at, g.action, g.exec_id,
        lead(g.at) over o as next_at, lead(g.action) over o as next_action, lead(g.exec_id) over o as next_exec_id
    from fencepost.task_log as g
    where g.seq = %(seq)s::bigint and g.version > %(whole)s::integer and g.version <= %(until)s::integer
    window o as (order by g.version)
),
removed as (
    delete from fencepost.task_log as g
    using notes as n
    where g.seq = %(seq)s::bigint and g.version = n.version and g.at = n.at
        and n.action = 'awf.task/notify' and n.next_action = 'awf.task/notify' and n.next_exec_id = n.exec_id
        and date_trunc('minute', n.next_at) = date_trunc('minute', n.at)
    returning g.version
)
select count(*) as removed
from removed
