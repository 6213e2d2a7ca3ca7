-- Start leased tasks: requested → in-progress.
-- Takes:   calls json: [{call, id, seq, exec_id, caller}]; now. `seq` as in success.sql.
-- Returns: per started task its resource row; a call whose guard fails has no row.
-- Touches: live_tasks, task_log; reads task_names, definitions.
with calls as materialized (
    select
        c.call, c.id, c.exec_id, c.caller,
        coalesce(c.seq, (select n.seq from fencepost.task_names as n where n.id = c.id)) as seq,
        coalesce(%(now)s::timestamptz, statement_timestamp()) as now
    from json_to_recordset(%(calls)s::json) as c (call integer, id text, seq bigint, exec_id uuid, caller text)
),
held as materialized (
    -- `offset 0` makes each look-up an index probe in every plan, also one made while a table was empty. A row that is
    -- changed after this look-up fails the guard below, and the call is tried again.
    select
        c.call, c.caller, c.exec_id, c.now, l.place, l.entry, l.leased_at, l.lease_ends_at,
        c.now + fencepost.attempt_time(l.settings, d.in_progress_timeout, d.attempt_timeout) as deadline_at,
        c.now + fencepost.term(l.settings, 'attemptTimeout', d.attempt_timeout) as attempt_ends_at
    from calls as c
    cross join lateral (
        select l.ctid as place, l.definition, l.definition_version, l.settings, l.request_hash as entry,
            l.updated_at as leased_at, l.deadline_at as lease_ends_at
        from fencepost.live_tasks as l
        where l.seq = c.seq and l.id = c.id and l.status = 'requested' and l.exec_id = c.exec_id
        offset 0
    ) as l
    join fencepost.definitions as d on d.name = l.definition and d.version = l.definition_version
),
started as (
    update fencepost.live_tasks as l
    set status = 'in-progress',
        version = l.version + 1,
        retry_count = l.retry_count + 1,
        deadline_at = h.deadline_at,
        attempt_ends_at = h.attempt_ends_at,
        updated_at = h.now,
        -- The row has no place for another caller than the one that polled: that entry is written at once.
        request_hash = case
            when l.request_id is null and l.held_by = h.caller
            then fencepost.lease_entry(l.version + 1, 'awf.task/start', l.status)
            else l.request_hash
        end
    from held as h
    where l.ctid = h.place and l.status = 'requested' and l.exec_id = h.exec_id
    returning h.call, h.caller, h.entry, h.leased_at, h.lease_ends_at, l.*
),
logged as (
    insert into fencepost.task_log
        (seq, version, at, action, caller, worker, status_before, status, exec_id, retry_count, execute_at, deadline_at)
    select
        s.seq, s.version, s.updated_at, 'awf.task/start', s.caller, s.worker, 'requested', s.status, s.exec_id,
        s.retry_count, s.execute_at, s.deadline_at
    from started as s
    where fencepost.lease_action(s.request_hash, s.version) is null
    union all
    -- The entry of the poll, which stood in the row until now.
    select
        s.seq, s.version - 1, s.leased_at, fencepost.lease_action(s.entry, s.version - 1), s.held_by, s.worker,
        fencepost.lease_before(s.entry), 'requested', s.exec_id, s.retry_count - 1, s.execute_at, s.lease_ends_at
    from started as s
    where fencepost.lease_action(s.entry, s.version - 1) is not null
),
resource as (
    select
        s.call,
        s.id, s.definition, s.definition_version, s.status,
        s.label, s.params, s.requester, s.settings, s.created_at,
        s.version, s.exec_id, s.retry_count, s.execute_at, s.deadline_at, s.updated_at,
        s.worker, null as outcome, null as reason_type, null as reason_message, null as result, null as error
    from started as s
)
select *
from resource
