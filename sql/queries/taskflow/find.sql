-- Find the newest run of each of some flows.
-- Takes:   ids text[], of flows.
-- Returns: per flow that exists (id of the flow, seq, document) and the resource row of the run's workflow.
-- Touches: nothing; reads workflow_names, workflow_resources, definitions.
select
    a.id as taskflow_id, r.seq, d.document,
    r.id, r.definition, r.definition_version, r.status, r.label, r.params, r.requester, r.created_at, r.version,
    r.execute_at, r.updated_at, r.outcome, r.reason_type, r.reason_message, r.result, r.error
from unnest(%(ids)s::text[]) as a (id)
cross join lateral (
    select n.seq
    from (
        select n.seq, 0 as run from fencepost.workflow_names as n where n.id = a.id and strpos(n.id, '~') = 0
        union all
        select n.seq, split_part(n.id, '~', 2)::integer
        from fencepost.workflow_names as n
        where split_part(n.id, '~', 1) = a.id and strpos(n.id, '~') > 0
    ) as n
    order by n.run desc
    limit 1
) as n
cross join lateral (
    select r.* from fencepost.workflow_resources as r where r.seq = n.seq offset 0
) as r
join fencepost.definitions as d
    on d.name = r.definition and d.version = r.definition_version and d.kind = 'taskflow'
