-- Give leased tasks back to the queue, at their old place; a started attempt is not counted.
-- Takes:   calls json: [{call, id, seq, exec_id, action, caller}]; now. `seq` as in success.sql.
-- Returns: per released task its resource row; a call whose guard fails has no row.
-- Touches: live_tasks, task_log; reads task_names.
with calls as materialized (
    select
        c.call, c.id, c.exec_id, c.action, c.caller,
        coalesce(c.seq, (select n.seq from fencepost.task_names as n where n.id = c.id)) as seq,
        coalesce(%(now)s::timestamptz, statement_timestamp()) as now
    from json_to_recordset(%(calls)s::json) as c (
        call integer, id text, seq bigint, exec_id uuid, action text, caller text
    )
),
held as materialized (
    -- `offset 0` makes each look-up an index probe in every plan, also one made while a table was empty. A row that is
    -- changed after this look-up fails the guard below, and the call is tried again.
    select c.call, c.action, c.caller, c.exec_id, c.now, l.place, l.status as status_before, l.worker,
        l.entry, l.leased_at, l.leased_by, l.retries, l.lease_ends_at
    from calls as c
    cross join lateral (
        select l.ctid as place, l.status, l.worker, l.request_hash as entry, l.updated_at as leased_at,
            l.held_by as leased_by, l.retry_count as retries, l.deadline_at as lease_ends_at
        from fencepost.live_tasks as l
        where l.seq = c.seq and l.id = c.id and l.status in ('requested', 'in-progress') and l.exec_id = c.exec_id
            -- Timers have no worker: as `ready` they would wait for ever.
            and l.definition not in ('awf.task/wait', 'awf.task/subscribe')
        offset 0
    ) as l
),
released as (
    update fencepost.live_tasks as l
    set status = 'ready', version = l.version + 1, exec_id = null, deadline_at = l.expires_at,
        retry_count = l.retry_count - (l.status = 'in-progress')::integer,
        worker = null, held_by = null, request_id = null, request_hash = null, updated_at = h.now
    from held as h
    where l.ctid = h.place and l.status = h.status_before and l.exec_id = h.exec_id
    returning
        h.call, h.action, h.caller, h.status_before, h.exec_id as ended_id, h.worker as ended_by,
        h.entry, h.leased_at, h.leased_by, h.retries, h.lease_ends_at, l.*
),
logged as (
    insert into fencepost.task_log
        (seq, version, at, action, caller, worker, status_before, status, exec_id, retry_count, execute_at,
         deadline_at)
    select
        r.seq, r.version, r.updated_at, r.action, r.caller, r.ended_by, r.status_before, 'ready',
        r.ended_id, r.retry_count, r.execute_at, r.deadline_at
    from released as r
    union all
    -- The entry of the lease, which stood in the row until now.
    select
        r.seq, r.version - 1, r.leased_at, fencepost.lease_action(r.entry, r.version - 1), r.leased_by, r.ended_by,
        fencepost.lease_before(r.entry), r.status_before, r.ended_id, r.retries, r.execute_at, r.lease_ends_at
    from released as r
    where fencepost.lease_action(r.entry, r.version - 1) is not null
),
resource as (
    select
        r.call,
        r.id, r.definition, r.definition_version, 'ready' as status,
        r.label, r.params, r.requester, r.settings, r.created_at,
        r.version, null::uuid as exec_id, r.retry_count, r.execute_at, r.deadline_at,
        r.updated_at,
        null as worker, null as outcome, null as reason_type, null as reason_message, null as result, null as error
    from released as r
)
select *
from resource
