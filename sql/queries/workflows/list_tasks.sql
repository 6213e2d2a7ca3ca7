-- List the tasks of a workflow, in the order of their creation.
-- Takes:   workflow_seq; decides boolean, its decisions or its activities; after bigint, the seq after which the page
--          begins (null for the first page); size integer.
-- Returns: per task its resource row, and its seq.
-- Touches: nothing; reads task_resources.
select
    null::integer as call,
    r.id, r.definition, r.definition_version, r.status,
    r.label, r.params, r.requester, r.settings, r.created_at,
    r.version, r.exec_id, r.retry_count, r.execute_at, r.deadline_at, r.updated_at,
    r.worker, r.outcome, r.reason_type, r.reason_message, r.result, r.error,
    r.seq
from (
    -- A subquery of its own: together with `order by`, Postgres would read all tasks in the order of the index.
    select r.*
    from fencepost.task_resources as r
    where r.workflow_seq = %(workflow_seq)s::bigint and r.decides = %(decides)s::boolean
        and (%(after)s::bigint is null or r.seq > %(after)s::bigint)
    offset 0
) as r
order by r.seq
limit %(size)s::integer
