-- List the tasks of a user in all live lists.
-- Takes:   statuses text[], null for any; member, the assignee; team, due_date_time, after bigint, from the last task
--          of the previous page (null for the first page); size integer.
-- Returns: per task, by team, due date and seq, its row, whose members are those of PeopleTask.
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
where r.is_list_live
    and (%(statuses)s::text[] is null or r.bi_task_status = any(%(statuses)s::text[]))
    and r.bi_assigned_to_user = %(member)s::text
    and (
        %(team)s::text is null
        or (r.bi_assigned_to_team, r.bi_due_date_time, r.seq)
            > (%(team)s::text, %(due_date_time)s::timestamptz, %(after)s::bigint)
    )
order by r.bi_assigned_to_team, r.bi_due_date_time, r.seq
limit %(size)s::integer
