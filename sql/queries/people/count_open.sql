-- Count the open tasks of a list.
-- Takes:   workflow_seq bigint, the list; over text[], the statuses of tasks that are not open.
-- Returns: one row (count).
-- Touches: nothing; reads people_resources.
select count(*) as count
from fencepost.people_resources as r
where r.workflow_seq = %(workflow_seq)s::bigint and r.bi_task_status <> all(%(over)s::text[])
