-- List the newest runs of flows, newest first, page by page.
-- Takes:   position timestamptz and position_seq bigint, from the last row of the previous page (null for the first
--          page); size integer.
-- Returns: per flow (id of the flow, seq, document) and the resource row of the run's workflow.
-- Touches: nothing; reads workflow_names, workflow_resources, definitions.
select
    split_part(r.id, '~', 1) as taskflow_id, r.seq, d.document,
    r.id, r.definition, r.definition_version, r.status, r.label, r.params, r.requester, r.created_at, r.version,
    r.execute_at, r.updated_at, r.outcome, r.reason_type, r.reason_message, r.result, r.error
from fencepost.workflow_resources as r
join fencepost.definitions as d
    on d.name = r.definition and d.version = r.definition_version and d.kind = 'taskflow'
where (
        %(position)s::timestamptz is null
        or (r.created_at, r.seq) < (%(position)s::timestamptz, %(position_seq)s::bigint)
    )
    and not exists (
        -- Left out when the same flow has a later run.
        select
        from fencepost.workflow_names as n
        where split_part(n.id, '~', 1) = split_part(r.id, '~', 1) and strpos(n.id, '~') > 0
            and split_part(n.id, '~', 2)::integer > coalesce(nullif(split_part(r.id, '~', 2), '')::integer, 0)
    )
order by r.created_at desc, r.seq desc
limit %(size)s::integer
