-- Count the tasks of a list that are not over.
-- Takes:   workflow_seq bigint, the list; over text[], the statuses of tasks that are.
-- Returns: one row (count).
-- Touches: nothing; reads people_resources.
select count(*) as count
from fencepost.people_resources as r
where r.workflow_seq = %(workflow_seq)s::bigint and r.bi_task_status <> all(%(over)s::text[])
