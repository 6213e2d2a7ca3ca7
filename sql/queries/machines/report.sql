-- Note a report that is taken.
-- Takes:   workflow_id, task, action, state integer, seconds bigint, message, worker, verb (null for none); now.
-- Returns: one row (seq).
-- Touches: machine_reports; reads workflow_names. Run in the transaction of what the report does.
insert into fencepost.machine_reports (workflow_id, at, task, action, state, seconds, message, worker, verb)
values (
    %(workflow_id)s::text, coalesce(%(now)s::timestamptz, statement_timestamp()), %(task)s::text, %(action)s::text,
    %(state)s::smallint, %(seconds)s::bigint, %(message)s::text, %(worker)s::text, %(verb)s::text
)
returning seq
