-- Renew the leases of running tasks and log the notifications of their workers (heartbeats).
-- Takes:   calls json: [{call, id, seq, exec_id, notification json, caller}]; now. `seq` as in success.sql.
-- Returns: per renewed task (call, deadline_at, version, seq); a call whose guard fails has no row.
-- Touches: live_tasks, task_log; reads task_names, definitions.
with calls as materialized (
    select
        c.call, c.id, c.exec_id, c.notification, c.caller,
        coalesce(c.seq, (select n.seq from fencepost.task_names as n where n.id = c.id)) as seq,
        coalesce(%(now)s::timestamptz, statement_timestamp()) as now
    from json_to_recordset(%(calls)s::json) as c (
        call integer, id text, seq bigint, exec_id uuid, notification json, caller text
    )
),
held as materialized (
    -- `offset 0` makes each look-up an index probe in every plan, also one made while a table was empty. A row that is
    -- changed after this look-up fails the guard below, and the call is tried again.
    select
        c.call, c.caller, c.exec_id, c.notification, c.now, l.place, l.leased_at, l.lease_ends_at,
        fencepost.term(l.settings, 'inProgressTimeout', d.in_progress_timeout) as in_progress_timeout
    from calls as c
    cross join lateral (
        select l.ctid as place, l.definition, l.definition_version, l.settings, l.updated_at as leased_at,
            l.deadline_at as lease_ends_at
        from fencepost.live_tasks as l
        where l.seq = c.seq and l.id = c.id and l.status = 'in-progress' and l.exec_id = c.exec_id
            -- The deadline of a built-in timer is its purpose; a worker cannot renew it.
            and l.definition not in ('awf.task/wait', 'awf.task/subscribe')
        offset 0
    ) as l
    join fencepost.definitions as d on d.name = l.definition and d.version = l.definition_version
),
renewed as (
    update fencepost.live_tasks as l
    set version = l.version + 1,
        -- attemptTimeout ends the attempt, whatever its worker reports.
        deadline_at = least(h.now + h.in_progress_timeout, l.attempt_ends_at),
        updated_at = h.now
    from held as h
    where l.ctid = h.place and l.status = 'in-progress' and l.exec_id = h.exec_id
    returning
        h.call, h.caller, h.notification, h.leased_at, h.lease_ends_at, l.request_hash as entry, l.held_by as leased_by,
        l.seq, l.version, l.exec_id, l.retry_count, l.execute_at, l.deadline_at, l.updated_at, l.worker
),
logged as (
    insert into fencepost.task_log
        (seq, version, at, action, action_params, caller, worker, status_before, status, exec_id, retry_count,
         execute_at, deadline_at)
    select
        r.seq, r.version, r.updated_at, 'awf.task/notify', r.notification, r.caller, r.worker, 'in-progress',
        'in-progress', r.exec_id, r.retry_count, r.execute_at, r.deadline_at
    from renewed as r
    union all
    -- The entry of the lease, which stood in the row until now.
    select
        r.seq, r.version - 1, r.leased_at, fencepost.lease_action(r.entry, r.version - 1), null, r.leased_by, r.worker,
        fencepost.lease_before(r.entry), 'in-progress', r.exec_id, r.retry_count, r.execute_at, r.lease_ends_at
    from renewed as r
    where fencepost.lease_action(r.entry, r.version - 1) is not null
)
select r.call, r.deadline_at, r.version, r.seq
from renewed as r
