-- The partitions that hold only what is older than the retention.
-- Takes:   retention interval; now.
-- Returns: per partition (parent, name, begins_at, ends_at), the oldest first; begins_at is null when it has no beginning.
-- Touches: nothing; reads history_partitions.
select p.parent, p.name, p.begins_at, p.ends_at
from fencepost.history_partitions as p
where p.ends_at <= coalesce(%(now)s::timestamptz, statement_timestamp()) - %(retention)s::interval
order by p.ends_at, p.parent
