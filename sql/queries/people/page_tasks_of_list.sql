-- List the tasks of a list, page by page.
-- Takes:   workflow_seq bigint, the list; after integer, the line after which the page begins (null for the first
--          page); size integer.
-- Returns: per task, by line, its row, whose members are those of PeopleTask.
-- Touches: nothing; reads activities, people_resources.
with lines as materialized (
    select a.seq, substr(a.label, 6)::integer as line_number
    from fencepost.activities as a
    where a.workflow_seq = %(workflow_seq)s::bigint and not a.is_workflow and a.label ~ '^line/[0-9]+$'
        and (%(after)s::integer is null or substr(a.label, 6)::integer > %(after)s::integer)
    order by line_number
    limit %(size)s::integer
)
select
    r.seq, r.id, r.workflow_seq, r.task_list, r.process, r.process_version, r.is_list_live, r.line_number, r.fields,
    r.start_date_time, r.initial_due_date_time, r.progress_message, r.exception_message, r.domain_object_key,
    r.domain_object_code, r.locked_by,
    r.bi_assigned_to_team, r.bi_assigned_to_user, r.bi_task_status, r.bi_priority, r.bi_due_date_time,
    r.bi_completion_date_time,
    r.core_seq, r.core_id, r.core_status, r.core_outcome, r.core_exec_id, r.core_updated_at, r.core_version,
    r.core_rounds, r.result
from lines as n
cross join lateral (
    select v.* from fencepost.people_resources as v
    where v.workflow_seq = %(workflow_seq)s::bigint and v.seq = n.seq
    offset 0
) as r
order by n.line_number
