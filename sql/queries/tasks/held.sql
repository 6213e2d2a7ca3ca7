-- Find what earlier polls with the same requestId still hold.
-- Takes:   asks json: [{ask, caller, request_id}].
-- Returns: per task still held `call`, the number of the ask, its resource row, and the request_hash it was made with.
-- Touches: nothing; reads task_resources, live_tasks.
with held as materialized (
    select a.ask, l.seq, l.ready_at, l.request_hash
    from json_to_recordset(%(asks)s::json) as a (ask integer, caller text, request_id text)
    -- `offset 0` keeps the probe of the index a probe, also in a plan that was made while nothing was held.
    cross join lateral (
        select h.seq, h.ready_at, h.request_hash
        from fencepost.live_tasks as h
        where h.held_by = a.caller and h.request_id = a.request_id
        offset 0
    ) as l
)
select
    h.ask as call,
    r.id, r.definition, r.definition_version, r.status,
    -- The rest of the resource.
    r.label, r.params, r.requester, r.created_at,
    r.version, r.exec_id, r.retry_count, r.execute_at, r.deadline_at, r.updated_at,
    r.worker, r.outcome, r.reason_type, r.reason_message, r.result, r.error,
    h.request_hash
from held as h
cross join lateral (select * from fencepost.task_resources as r where r.seq = h.seq offset 0) as r
order by h.ready_at, h.seq
