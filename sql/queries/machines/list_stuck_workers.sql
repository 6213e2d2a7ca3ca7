-- List the workers that repeat a report which their finished workflow refuses.
-- Takes:   workflow_ids text[].
-- Returns: per workflow with such a worker (workflow_id, since, last_at, task, action, worker).
-- Touches: nothing; reads machine_stuck.
select m.workflow_id, m.since, m.last_at, m.task, m.action, m.worker
from fencepost.machine_stuck as m
where m.workflow_id = any(%(workflow_ids)s::text[])
