-- Tell whether a workflow has taken a signal.
-- Takes:   workflow_seq; id; digest.
-- Returns: one row (same), whether what it took under that id was the same; none when it took nothing.
-- Touches: nothing; reads workflow_signals.
select s.digest = %(digest)s::uuid as same
from fencepost.workflow_signals as s
where s.workflow_seq = %(workflow_seq)s::bigint and s.id = %(id)s::text
