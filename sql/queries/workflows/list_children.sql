-- List the children of a workflow, in the order of their creation.
-- Takes:   workflow_seq; after bigint, the seq after which the page begins (null for the first page); size integer.
-- Returns: per child its resource row, and its seq.
-- Touches: nothing; reads activities, workflow_resources.
select
    r.id, r.definition, r.definition_version, r.status, r.label, r.params, r.requester, r.created_at, r.version,
    r.execute_at, r.updated_at, r.outcome, r.reason_type, r.reason_message, r.result, r.error,
    r.seq
from fencepost.activities as a
cross join lateral (
    select r.* from fencepost.workflow_resources as r where r.seq = a.seq offset 0
) as r
where a.workflow_seq = %(workflow_seq)s::bigint and a.is_workflow
    and (%(after)s::bigint is null or a.seq > %(after)s::bigint)
order by a.seq
limit %(size)s::integer
