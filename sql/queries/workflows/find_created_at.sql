-- Tell when the workflow was made at which a search stands.
-- Takes:   seq bigint.
-- Returns: one row (created_at) of the next workflow from this number on; none when there is no such workflow.
-- Touches: nothing; reads workflow_resources.
select r.created_at
from fencepost.workflow_resources as r
where r.seq >= %(seq)s::bigint
order by r.seq
limit 1
