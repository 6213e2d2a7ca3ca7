-- Find whether the default partitions have more than a few rows; making a partition reads all of them.
-- Takes:   most integer.
-- Returns: one row (is_more).
-- Touches: nothing; reads done_tasks_default, done_workflows_default.
select count(*) > %(most)s::integer as is_more
from (
    (select d.done_at from fencepost.done_tasks_default as d order by d.done_at limit %(most)s::integer + 1)
    union all
    (select d.done_at from fencepost.done_workflows_default as d order by d.done_at limit %(most)s::integer + 1)
) as k
