-- End live tasks as canceled, in whatever state they are.
-- Takes:   calls json: [{call, id, seq, caller}]; now. `seq` as in success.sql.
-- Returns: per canceled task its resource row; a call whose guard fails has no row.
-- Touches: live_tasks, done_tasks, receipts; reads task_names, definitions.
with calls as materialized (
    select
        c.call, c.id, c.caller,
        coalesce(c.seq, (select n.seq from fencepost.task_names as n where n.id = c.id)) as seq,
        coalesce(%(now)s::timestamptz, statement_timestamp()) as now
    from json_to_recordset(%(calls)s::json) as c (call integer, id text, seq bigint, caller text)
),
held as materialized (
    -- `offset 0` makes each look-up an index probe in every plan, also one made while a table was empty. A row that is
    -- changed after this look-up fails the guard below, and the call is tried again.
    select c.call, c.caller, c.now, l.place, l.workflow_seq is not null or d.keep is distinct from 'none' as is_kept
    from calls as c
    cross join lateral (
        select l.ctid as place, l.definition, l.definition_version, l.workflow_seq
        from fencepost.live_tasks as l
        where l.seq = c.seq and l.id = c.id
        offset 0
    ) as l
    left join fencepost.definitions as d on d.name = l.definition and d.version = l.definition_version
),
ended as (
    delete from fencepost.live_tasks as l
    using held as h
    where l.ctid = h.place
    returning h.call, h.caller, h.now, h.is_kept, l.*
),
done as (
    insert into fencepost.done_tasks
        (seq, id, definition, definition_version, label, params, requester, settings, created_by, created_at,
         asked_execute_at, version, action, done_by, status_before, outcome, exec_id, retry_count, execute_at, worker,
         done_at, workflow_seq, lease_entry, leased_at, leased_by, lease_ends_at)
    select
        e.seq, e.id, e.definition, e.definition_version, e.label, e.params, e.requester, e.settings, e.created_by,
        e.created_at, e.asked_execute_at, e.version + 1, 'awf.task/cancel', e.caller, e.status, 'canceled', e.exec_id,
        e.retry_count, e.execute_at, e.worker, e.now, e.workflow_seq, e.request_hash,
        e.updated_at, e.held_by, e.deadline_at
    from ended as e
    where e.is_kept
),
receipted as (
    insert into fencepost.receipts
        (prefix, definition, definition_version, action, outcome, seqs, hashes, names, created_at, at)
    select
        left(e.exec_id::text, 18) collate "C", e.definition, e.definition_version, 'awf.task/cancel', 'canceled',
        array_agg(e.seq), array_agg(hashtextextended(concat(e.id, ' ', null), 0)),
        array_agg(distinct fencepost.task_name(e.id, e.seq)),
        min(e.created_at), min(e.now)
    from ended as e
    where not e.is_kept
    group by left(e.exec_id::text, 18) collate "C", e.definition, e.definition_version
),
resource as (
    select
        e.call,
        e.id, e.definition, e.definition_version, 'done' as status,
        e.label, e.params, e.requester, e.settings, e.created_at,
        e.version + 1 as version, e.exec_id, e.retry_count, e.execute_at, null as deadline_at,
        e.now as updated_at,
        e.worker, 'canceled' as outcome, null as reason_type, null as reason_message, null as result, null as error
    from ended as e
)
select *
from resource
