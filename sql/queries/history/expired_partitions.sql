-- List the partitions whose rows are all older than the retention.
-- Takes:   retention interval; now.
-- Returns: per partition (parent, name, begins_at, ends_at), oldest first; begins_at is null without a lower bound.
-- Touches: nothing; reads history_partitions.
select p.parent, p.name, p.begins_at, p.ends_at
from fencepost.history_partitions as p
where p.ends_at <= coalesce(%(now)s::timestamptz, statement_timestamp()) - %(retention)s::interval
order by p.ends_at, p.parent
