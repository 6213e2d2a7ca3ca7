-- Find a machine workflow by its id.
-- Takes:   id; deleted boolean, whether a deleted one is found too.
-- Returns: its seq and its resource row; no row for a workflow of another kind.
-- Touches: nothing; reads workflow_names, workflow_resources, definitions, machine_deletions.
select
    r.seq,
    r.id, r.definition, r.definition_version, r.status, r.label, r.params, r.requester, r.created_at, r.version,
    r.execute_at, r.updated_at, r.outcome, r.reason_type, r.reason_message, r.result, r.error
from fencepost.workflow_resources as r
-- A constant key is pushed into each part of the view; a join key is not.
where r.seq = (select n.seq from fencepost.workflow_names as n where n.id = %(id)s::text)
    and exists (
        select from fencepost.definitions as d
        where d.name = r.definition and d.version = r.definition_version and d.kind = 'machine-template'
    )
    and (
        %(deleted)s::boolean
        or not exists (select from fencepost.machine_deletions as m where m.workflow_id = %(id)s::text)
    )
