-- Begin the execution of leased tasks: requested → in-progress.
-- Takes:   calls json: [{call, id, exec_id, caller}]; now.
-- Returns: per started task its resource row; a call whose guard fails returns no row.
-- Touches: live_tasks, task_log; reads tasks, definitions.
with calls as materialized (
    select c.*, coalesce(%(now)s::timestamptz, statement_timestamp()) as now
    from json_to_recordset(%(calls)s::json) as c (call integer, id text, exec_id uuid, caller text)
),
held as materialized (
    -- `offset 0` keeps each look-up a probe of an index in every plan, also in one made while a table was empty. Who
    -- is changed in between is found elsewhere then, or not at all: the guard below decides, and the call tries again.
    select c.call, c.caller, c.exec_id, c.now, t.*, d.in_progress_timeout, l.place
    from calls as c
    cross join lateral (
        select t.id, t.definition, t.definition_version, t.label, t.params, t.requester, t.created_at, t.seq
        from fencepost.tasks as t
        where t.id = c.id
        offset 0
    ) as t
    join fencepost.definitions as d on d.name = t.definition and d.version = t.definition_version
    cross join lateral (
        select l.ctid as place
        from fencepost.live_tasks as l
        where l.seq = t.seq and l.status = 'requested' and l.exec_id = c.exec_id
        offset 0
    ) as l
),
started as (
    update fencepost.live_tasks as l
    set status = 'in-progress',
        version = l.version + 1,
        retry_count = l.retry_count + 1,
        deadline_at = h.now + h.in_progress_timeout,
        updated_at = h.now
    from held as h
    where l.ctid = h.place and l.status = 'requested' and l.exec_id = h.exec_id
    returning
        h.call, h.caller,
        h.id, h.definition, h.definition_version, h.label, h.params, h.requester, h.created_at,
        l.seq, l.status, l.version, l.exec_id, l.retry_count, l.execute_at, l.deadline_at, l.updated_at, l.worker
),
logged as (
    insert into fencepost.task_log
        (seq, version, at, action, caller, worker, status_before, status, exec_id, retry_count, execute_at, deadline_at)
    select
        s.seq, s.version, s.updated_at, 'awf.task/start', s.caller, s.worker, 'requested', s.status, s.exec_id,
        s.retry_count, s.execute_at, s.deadline_at
    from started as s
)
select
    s.call,
    s.id, s.definition, s.definition_version, s.status,
    -- The rest of the resource.
    s.label, s.params, s.requester, s.created_at,
    s.version, s.exec_id, s.retry_count, s.execute_at, s.deadline_at, s.updated_at,
    s.worker, null as outcome, null as reason_type, null as reason_message, null as result, null as error
from started as s
