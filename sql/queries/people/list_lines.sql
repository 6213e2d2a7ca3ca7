-- List the lines of a task list.
-- Takes:   workflow_seq bigint.
-- Returns: per line, in order, (line_number, seq, digest).
-- Touches: nothing; reads activities.
select substr(a.label, 6)::integer as line_number, a.seq, a.digest
from fencepost.activities as a
where a.workflow_seq = %(workflow_seq)s::bigint and not a.is_workflow and a.label ~ '^line/[0-9]+$'
order by line_number
