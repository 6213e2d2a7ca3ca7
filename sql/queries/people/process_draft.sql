-- Mark a drafted event as processed.
-- Takes:   task_seq bigint; stream; number bigint.
-- Returns: one row (number); no row when there is no such event, or it is processed already.
-- Touches: people_events. Run after the lock of the task's workflow.
update fencepost.people_events as e
set processed = true
where e.number = %(number)s::bigint and e.task_seq = %(task_seq)s::bigint and e.stream = %(stream)s::text
    and not e.processed
returning e.number
