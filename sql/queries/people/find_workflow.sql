-- Find the workflow of a task that may be a people's task.
-- Takes:   id, the task's; seq bigint, the number that stands in it.
-- Returns: one row (workflow_seq, definition, definition_version), none when there is no such task of a workflow; the
--          definition is that of the workflow.
-- Touches: nothing; reads live_tasks, done_tasks, live_workflows, done_workflows.
select r.workflow_seq, w.definition, w.definition_version
from fencepost.task_resources as r
cross join lateral (
    select f.definition, f.definition_version
    from fencepost.workflow_resources as f
    where f.seq = r.workflow_seq
    offset 0
) as w
where r.seq = %(seq)s::bigint and r.id = %(id)s::text
