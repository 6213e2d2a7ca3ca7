-- Retention: what it takes to let old history go, a partition at a time.

-- The partitions of the history with their bounds. Both are null for the default ones, and `begins_at` alone for one that
-- has no beginning.
create view fencepost.history_partitions as
select
    p.relname::text as parent,
    c.relname::text as name,
    (regexp_match(b.bound, 'FROM \(''([^'']+)''\)'))[1]::timestamptz as begins_at,
    (regexp_match(b.bound, 'TO \(''([^'']+)''\)'))[1]::timestamptz as ends_at
from pg_catalog.pg_inherits as i
join pg_catalog.pg_class as p on p.oid = i.inhparent
join pg_catalog.pg_class as c on c.oid = i.inhrelid
cross join lateral (select pg_catalog.pg_get_expr(c.relpartbound, c.oid) as bound) as b
where i.inhparent in ('fencepost.done_tasks'::regclass, 'fencepost.task_log'::regclass);

-- Readers: history/missing.sql, delete_done.sql, delete_log.sql. The default partitions are empty but for accidents, so
-- that these cost nothing.
create index done_tasks_default_done_at on fencepost.done_tasks_default (done_at);
create index task_log_default_at on fencepost.task_log_default (at);
