-- Find whether a workflow has accepted a signal.
-- Takes:   workflow_seq; id; digest.
-- Returns: one row (same): whether the accepted signal with this id has the same content; no row when there is none.
-- Touches: nothing; reads workflow_signals.
select s.digest = %(digest)s::uuid as same
from fencepost.workflow_signals as s
where s.workflow_seq = %(workflow_seq)s::bigint and s.id = %(id)s::text
