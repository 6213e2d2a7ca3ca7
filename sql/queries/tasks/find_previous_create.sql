-- Find a task of a create whose reply was lost, by the id that the second run would have given it.
-- Takes:   prefix text, the beginning of both ids; before bigint, the number in the second id.
-- Returns: due_in (seconds from its creation until it becomes ready) and its resource row, or no row.
-- Touches: nothing; reads task_resources.
select
    null::integer as call,
    extract(epoch from case when r.status = 'waiting' then r.deadline_at end - r.created_at)::float8 as due_in,
    r.id, r.definition, r.definition_version, r.status,
    r.label, r.params, r.requester, r.settings, r.created_at,
    r.version, r.exec_id, r.retry_count, r.execute_at, r.deadline_at, r.updated_at,
    r.worker, r.outcome, r.reason_type, r.reason_message, r.result, r.error
from fencepost.task_resources as r
-- Backwards from the second run: only the tasks created between the two runs are read.
where r.seq < %(before)s::bigint and r.seq > %(before)s::bigint - 1000000
    and starts_with(r.id, %(prefix)s::text)
order by r.seq desc
limit 1
