-- Find a people's task by its id.
-- Takes:   id, the task's; seq bigint, the number that the id contains.
-- Returns: one row, with the members of vocabularies.people.task.PeopleTask; none when no task list has such a task.
-- Touches: nothing; reads live_tasks, done_tasks, people_resources.
with found as materialized (
    -- `limit` keeps the look-up a probe of an index in every plan; the history is read only for finished tasks.
    select l.workflow_seq, l.seq
    from fencepost.live_tasks as l
    where l.seq = %(seq)s::bigint and l.id = %(id)s::text
    union all
    select d.workflow_seq, d.seq
    from fencepost.done_tasks as d
    where d.seq = %(seq)s::bigint and d.id = %(id)s::text
    limit 1
)
select
    r.seq, r.id, r.workflow_seq, r.task_list, r.process, r.process_version, r.is_list_live, r.line_number, r.fields,
    r.start_date_time, r.initial_due_date_time, r.progress_message, r.exception_message, r.domain_object_key,
    r.domain_object_code, r.locked_by,
    r.bi_assigned_to_team, r.bi_assigned_to_user, r.bi_task_status, r.bi_priority, r.bi_due_date_time,
    r.bi_completion_date_time,
    r.core_seq, r.core_id, r.core_status, r.core_outcome, r.core_exec_id, r.core_updated_at, r.core_version,
    r.core_rounds, r.result
from found as f
cross join lateral (
    select v.* from fencepost.people_resources as v
    where v.workflow_seq = f.workflow_seq and v.seq = f.seq
    offset 0
) as r
