-- Find a task by its id.
-- Takes:   id; seq bigint, the number inside an id that the server made, null for other ids.
-- Returns: its resource row, or no row.
-- Touches: nothing; reads task_names, task_resources.
select
    null::integer as call,
    r.id, r.definition, r.definition_version, r.status,
    r.label, r.params, r.requester, r.settings, r.created_at,
    r.version, r.exec_id, r.retry_count, r.execute_at, r.deadline_at, r.updated_at,
    r.worker, r.outcome, r.reason_type, r.reason_message, r.result, r.error
from fencepost.task_resources as r
-- A constant key is pushed into each part of the view; a join key is not.
where r.seq = coalesce(%(seq)s::bigint, (select n.seq from fencepost.task_names as n where n.id = %(id)s::text))
    and r.id = %(id)s::text
