-- Find a task list.
-- Takes:   code, the id of its workflow.
-- Returns: one row (seq, id, definition, definition_version, status, outcome, created_at, params, result, department);
--          no row when no workflow of a process has that id.
-- Touches: nothing; reads workflow_names, live_workflows, done_workflows, definitions.
select
    r.seq, r.id, r.definition, r.definition_version, r.status, r.outcome, r.created_at, r.params, r.result,
    -- A list without a department has the department of its process.
    coalesce(r.params ->> 'department', d.document ->> 'department') as department
from fencepost.workflow_names as n
cross join lateral (select w.* from fencepost.workflow_resources as w where w.seq = n.seq offset 0) as r
join fencepost.definitions as d
    on d.name = r.definition and d.version = r.definition_version and d.kind = 'process'
where n.id = %(code)s::text
