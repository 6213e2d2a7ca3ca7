-- Find the creation time of the workflow at which a search stopped.
-- Takes:   seq bigint.
-- Returns: one row (created_at) of the first workflow from this seq on; no row when there is none.
-- Touches: nothing; reads workflow_resources.
select r.created_at
from fencepost.workflow_resources as r
where r.seq >= %(seq)s::bigint
order by r.seq
limit 1
