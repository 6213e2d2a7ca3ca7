-- List the tasks of a list, or one of them.
-- Takes:   workflow_seq bigint, the list; seq bigint, the task (null for all).
-- Returns: per task, by line, its row, whose members are those of PeopleTask.
-- Touches: nothing; reads people_resources.
select
    r.seq, r.id, r.workflow_seq, r.task_list, r.process, r.process_version, r.is_list_live, r.line_number, r.fields,
    r.start_date_time, r.initial_due_date_time, r.progress_message, r.exception_message, r.domain_object_key,
    r.domain_object_code, r.locked_by,
    r.bi_assigned_to_team, r.bi_assigned_to_user, r.bi_task_status, r.bi_priority, r.bi_due_date_time,
    r.bi_completion_date_time,
    r.core_seq, r.core_id, r.core_status, r.core_outcome, r.core_exec_id, r.core_updated_at, r.core_version,
    r.core_rounds, r.result
from fencepost.people_resources as r
where r.workflow_seq = %(workflow_seq)s::bigint
    and (%(seq)s::bigint is null or r.seq = %(seq)s::bigint)
order by r.line_number
