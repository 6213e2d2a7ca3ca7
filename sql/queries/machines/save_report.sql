-- Save a report that was accepted.
-- Takes:   workflow_id, task, action, state integer, seconds bigint, message, worker, verb (null for none); now.
-- Returns: one row (seq); no row when the workflow and its history are gone.
-- Touches: machine_reports; reads workflow_names. Run in the transaction that applies the report.
insert into fencepost.machine_reports (workflow_id, at, task, action, state, seconds, message, worker, verb)
select
    n.id, coalesce(%(now)s::timestamptz, statement_timestamp()), %(task)s::text, %(action)s::text,
    %(state)s::smallint, %(seconds)s::bigint, %(message)s::text, %(worker)s::text, %(verb)s::text
from fencepost.workflow_names as n
where n.id = %(workflow_id)s::text
-- A deletion of the history waits for this lock; if the deletion was first, there is no row.
for key share of n
returning seq
