-- Find what earlier polls with the same requestId still hold.
-- Takes:   asks json: [{ask, caller, request_id}].
-- Returns: per task still held `call`, the number of the ask, its resource row, and the request_hash it was made with.
-- Touches: nothing; reads task_resources, live_tasks.
select
    a.ask as call,
    r.id, r.definition, r.definition_version, r.label, r.params, r.requester, r.created_at,
    r.status, r.version, r.exec_id, r.retry_count, r.execute_at, r.deadline_at, r.updated_at,
    r.worker, r.outcome, r.reason_type, r.reason_message, r.result, r.error,
    l.request_hash
from json_to_recordset(%(asks)s::json) as a (ask integer, caller text, request_id text)
join fencepost.live_tasks as l on l.held_by = a.caller and l.request_id = a.request_id
join fencepost.task_resources as r on r.seq = l.seq
order by l.ready_at, l.seq
