-- Find the leases that earlier polls with the same requestId still hold.
-- Takes:   asks json: [{ask, caller, request_id}].
-- Returns: per leased task `call` (the number of the ask), its resource row, lost_attempts, and the hash of the poll
--          that leased it.
-- Touches: nothing; reads poll_requests, live_tasks.
select
    a.ask as call,
    l.id, l.definition, l.definition_version, l.status,
    l.label, l.params, l.requester, l.settings, l.created_at, l.version, l.exec_id, l.retry_count, l.execute_at,
    l.deadline_at, l.updated_at,
    l.worker, null as outcome, null as reason_type, null as reason_message, null::json as result, null::json as error,
    l.lost_attempts, p.hash
from json_to_recordset(%(asks)s::json) as a (ask integer, caller text, request_id text)
-- `offset 0` makes each look-up an index probe, also in a plan made while the tables were empty.
cross join lateral (
    select r.hash, r.prefix, r.seqs
    from fencepost.poll_requests as r
    where r.caller = a.caller and r.request_id = a.request_id
    offset 0
) as p
cross join unnest(p.seqs) as s (seq)
cross join lateral (
    -- The prefix is that of one claim: another lease of the task has another.
    select h.*
    from fencepost.live_tasks as h
    where h.seq = s.seq and left(h.exec_id::text, 18) = p.prefix
    offset 0
) as l
order by l.ready_at, l.seq
