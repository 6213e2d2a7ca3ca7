-- Process a drafted event.
-- Takes:   task_seq bigint; stream; number bigint.
-- Returns: one row (number); none for an event that is none of these, or is processed already.
-- Touches: people_events. Run behind the lock of the task's workflow.
update fencepost.people_events as e
set processed = true
where e.number = %(number)s::bigint and e.task_seq = %(task_seq)s::bigint and e.stream = %(stream)s::text
    and not e.processed
returning e.number
