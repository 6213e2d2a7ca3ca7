-- List machine workflows, oldest first, without deleted ones.
-- Takes:   after bigint, the seq after which the page begins (0 for the first page); size integer.
-- Returns: per workflow its seq and its resource row.
-- Touches: nothing; reads workflow_resources, definitions, machine_deletions.
select
    r.seq,
    r.id, r.definition, r.definition_version, r.status, r.label, r.params, r.requester, r.created_at, r.version,
    r.execute_at, r.updated_at, r.outcome, r.reason_type, r.reason_message, r.result, r.error
from fencepost.workflow_resources as r
where r.definition = any(array(select d.name from fencepost.definitions as d where d.kind = 'machine-template'))
    and r.seq > %(after)s::bigint
    and not exists (select from fencepost.machine_deletions as m where m.workflow_id = r.id)
order by r.seq
limit %(size)s::integer
