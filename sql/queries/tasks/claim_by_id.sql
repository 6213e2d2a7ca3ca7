-- Lease named tasks: ready → requested, or in-progress when they start at once.
-- Takes:   calls json: [{call, id, seq, start, action, worker, caller, prefix}]; now. `seq` as in success.sql, `prefix`
--          as in claim.sql.
-- Returns: per leased task its resource row; a call whose guard fails has no row.
-- Touches: live_tasks; reads task_names, definitions.
with calls as materialized (
    select
        c.call, c.id, c.start, c.action, c.worker, c.caller, c.prefix,
        coalesce(c.seq, (select n.seq from fencepost.task_names as n where n.id = c.id)) as seq,
        coalesce(%(now)s::timestamptz, statement_timestamp()) as now
    from json_to_recordset(%(calls)s::json) as c (
        call integer, id text, seq bigint, start boolean, action text, worker text, caller text, prefix text
    )
),
held as materialized (
    select c.call, c.start, c.action, c.worker, c.caller, c.prefix, c.now, l.place, d.kind, d.in_progress_timeout,
        d.requested_to_start_timeout, d.attempt_timeout
    from calls as c
    cross join lateral (
        select l.ctid as place, l.definition, l.definition_version
        from fencepost.live_tasks as l
        -- Limited tasks are only leased by polls, which count them. Expired tasks are never leased.
        where l.seq = c.seq and l.id = c.id and l.status = 'ready' and l.limit_key is null
            and (l.expires_at is null or l.expires_at > c.now)
        offset 0
    ) as l
    join fencepost.definitions as d on d.name = l.definition and d.version = l.definition_version
),
leased as (
    update fencepost.live_tasks as l
    set status = case when h.start then 'in-progress' else 'requested' end,
        version = l.version + 1,
        exec_id = fencepost.exec_id(h.prefix, l.workflow_seq, h.kind, l.seq),
        retry_count = l.retry_count + h.start::integer,
        deadline_at = fencepost.lease_end(
            h.now, h.start, l.settings, l.expires_at, h.in_progress_timeout, h.requested_to_start_timeout,
            h.attempt_timeout),
        attempt_ends_at = h.now + case when h.start then fencepost.term(l.settings, 'attemptTimeout', h.attempt_timeout) end,
        updated_at = h.now, worker = h.worker, held_by = h.caller,
        request_hash = fencepost.lease_entry(l.version + 1, h.action, l.status)
    from held as h
    where l.ctid = h.place and l.status = 'ready'
    returning h.call, l.*
)
select
    l.call,
    l.id, l.definition, l.definition_version, l.status,
    l.label, l.params, l.requester, l.settings, l.created_at,
    l.version, l.exec_id, l.retry_count, l.execute_at, l.deadline_at, l.updated_at,
    l.worker, null as outcome, null as reason_type, null as reason_message, null as result, null as error
from leased as l
