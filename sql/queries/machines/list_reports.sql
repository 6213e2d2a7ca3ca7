-- List the reports about a workflow, oldest first.
-- Takes:   workflow_id; after bigint, the seq after which the page begins (0 for the first page); size integer.
-- Returns: per report (seq, at, task, action, state, seconds, message, worker, verb).
-- Touches: nothing; reads machine_reports.
select r.seq, r.at, r.task, r.action, r.state, r.seconds, r.message, r.worker, r.verb
from fencepost.machine_reports as r
where r.workflow_id = %(workflow_id)s::text and r.seq > %(after)s::bigint
order by r.seq
limit %(size)s::integer
