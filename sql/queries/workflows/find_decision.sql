-- The decision that a live workflow waits for.
-- Takes:   id, of a workflow.
-- Returns: one row (id, status, lost_attempts) of the task; none when nothing has happened that is to be decided about.
-- Touches: nothing; reads workflow_names, live_workflows, live_tasks.
select l.id, l.status, l.lost_attempts
from fencepost.live_workflows as w
-- `offset 0` keeps the look-up a probe of an index in every plan, also in one made while the table was empty.
cross join lateral (
    select l.id, l.status, l.lost_attempts from fencepost.live_tasks as l where l.seq = w.decision_seq offset 0
) as l
where w.seq = (select n.seq from fencepost.workflow_names as n where n.id = %(id)s::text)
