-- Find a workflow by its id.
-- Takes:   id.
-- Returns: (seq, created_by, begun_at, action, done_by) and its resource row, or no row.
-- Touches: nothing; reads workflow_names, workflow_resources.
select
    r.seq, r.created_by, r.begun_at, r.action, r.done_by,
    r.id, r.definition, r.definition_version, r.status, r.label, r.params, r.requester, r.created_at, r.version,
    r.execute_at, r.updated_at, r.outcome, r.reason_type, r.reason_message, r.result, r.error
from fencepost.workflow_resources as r
-- A constant key is pushed into each part of the view; a join key is not.
where r.seq = (select n.seq from fencepost.workflow_names as n where n.id = %(id)s::text)
