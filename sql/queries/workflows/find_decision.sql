-- Find the decision task that a live workflow waits for.
-- Takes:   id, of the workflow.
-- Returns: one row (id, status, lost_attempts); no row when there is nothing to decide.
-- Touches: nothing; reads workflow_names, live_workflows, live_tasks.
select l.id, l.status, l.lost_attempts
from fencepost.live_workflows as w
-- `offset 0` makes the look-up an index probe in every plan, also one made while the table was empty.
cross join lateral (
    select l.id, l.status, l.lost_attempts from fencepost.live_tasks as l where l.seq = w.decision_seq offset 0
) as l
where w.seq = (select n.seq from fencepost.workflow_names as n where n.id = %(id)s::text)
