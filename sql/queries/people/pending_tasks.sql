-- List the pending tasks of all live lists.
-- Takes:   team, due_date_time, after bigint, from the last task of the previous page (null for the first page); size
--          integer.
-- Returns: per task, by team, due date and seq, its row, whose members are those of PeopleTask.
-- Touches: nothing; reads live_workflows, definitions, live_tasks, people_resources.
with lines as materialized (
    -- A pending task has a core task that is not leased, so done and leased core tasks need not be read.
    select w.seq as workflow_seq, t.line
    from fencepost.live_workflows as w
    join fencepost.definitions as d
        on d.name = w.definition and d.version = w.definition_version and d.kind = 'process'
    cross join lateral (
        select substring(l.label from '^line/[0-9]+') as line
        from fencepost.live_tasks as l
        where l.workflow_seq = w.seq and l.status in ('waiting', 'ready')
        offset 0
    ) as t
    where t.line is not null
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
    select v.*
    from fencepost.people_resources as v
    where v.workflow_seq = n.workflow_seq and v.line = n.line and v.is_list_live and v.bi_task_status = 'PE'
    offset 0
) as r
where %(team)s::text is null
    or (r.bi_assigned_to_team, r.bi_due_date_time, r.seq)
        > (%(team)s::text, %(due_date_time)s::timestamptz, %(after)s::bigint)
order by r.bi_assigned_to_team, r.bi_due_date_time, r.seq
limit %(size)s::integer
