-- Save events of a people's task.
-- Takes:   calls json: [{call, task_seq, stream, event_date_time, by_user, processed, core_seq, core_version,
--          bi_task_status, assigned_to_team, assigned_to_user, priority, due_date_time}].
-- Returns: per event, in the order of the calls, (number).
-- Touches: people_events. Run after the lock of the task's workflow, and after save_current.sql or save_fields.sql.
insert into fencepost.people_events
    (task_seq, stream, event_date_time, by_user, processed, core_seq, core_version, bi_task_status, assigned_to_team,
     assigned_to_user, priority, due_date_time)
select
    c.task_seq, c.stream, c.event_date_time, c.by_user, c.processed, c.core_seq, c.core_version, c.bi_task_status,
    c.assigned_to_team, c.assigned_to_user, c.priority, c.due_date_time
from json_to_recordset(%(calls)s::json) as c (
    call integer, task_seq bigint, stream text, event_date_time timestamptz, by_user text, processed boolean,
    core_seq bigint, core_version integer, bi_task_status text,
    assigned_to_team text, assigned_to_user text, priority text, due_date_time timestamptz
)
order by c.call
returning number
