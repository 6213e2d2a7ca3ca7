-- End attempts of running tasks as failed: → waiting while retries are left, else → done.
-- Takes:   calls json: [{call, id, seq, exec_id, content json, checked integer, caller}]; now. `seq` and `checked` as in
--          success.sql.
-- Returns: per task its resource row; a call whose guard fails has no row.
-- Touches: live_tasks, done_tasks, task_log, receipts; reads task_names, definitions.
with calls as materialized (
    select
        c.call, c.id, c.exec_id, c.content, c.checked, c.caller,
        coalesce(c.seq, (select n.seq from fencepost.task_names as n where n.id = c.id)) as seq,
        coalesce(%(now)s::timestamptz, statement_timestamp()) as now
    from json_to_recordset(%(calls)s::json) as c (
        call integer, id text, seq bigint, exec_id uuid, content json, checked integer, caller text
    )
),
failed as materialized (
    -- `offset 0` makes each look-up an index probe in every plan, also one made while a table was empty. A row that is
    -- changed after this look-up fails the guard below, and the call is tried again.
    select
        c.call, c.caller, c.exec_id, c.content as error, c.now, l.place, l.worker,
        l.entry, l.leased_at, l.leased_by, l.executed_at, l.lease_ends_at,
        d.keep <> 'none' or l.workflow_seq is not null as is_kept,
        c.now + fencepost.term(l.settings, 'retryDelay', d.retry_delay) as again_at,
        l.retry_count <= coalesce((l.settings ->> 'allowedRetryCount')::integer, d.allowed_retry_count) as again
    from calls as c
    cross join lateral (
        select l.ctid as place, l.definition, l.definition_version, l.retry_count, l.worker, l.settings,
            l.request_hash as entry, l.updated_at as leased_at, l.held_by as leased_by, l.execute_at as executed_at,
            l.deadline_at as lease_ends_at, l.workflow_seq
        from fencepost.live_tasks as l
        where l.seq = c.seq and l.id = c.id and l.status = 'in-progress' and l.exec_id = c.exec_id
        offset 0
    ) as l
    join fencepost.definitions as d on d.name = l.definition and d.version = l.definition_version
    where not d.has_error_schema or c.checked = d.version or d.kind <> 'task'
),
retried as (
    update fencepost.live_tasks as l
    set status = 'waiting', version = l.version + 1, exec_id = null, worker = null, held_by = null,
        request_id = null, request_hash = null, lost_attempts = 0,
        execute_at = f.again_at, ready_at = f.again_at, deadline_at = least(f.again_at, l.expires_at),
        updated_at = f.now
    from failed as f
    where l.ctid = f.place and l.status = 'in-progress' and l.exec_id = f.exec_id and f.again
    returning f.call, f.caller, f.error, f.again, f.now, f.is_kept, f.exec_id as ended_id, f.worker as ended_by,
        f.entry, f.leased_at, f.leased_by, f.executed_at, f.lease_ends_at, l.*
),
ended as (
    delete from fencepost.live_tasks as l
    using failed as f
    where l.ctid = f.place and l.status = 'in-progress' and l.exec_id = f.exec_id and not f.again
    returning f.call, f.caller, f.error, f.again, f.now, f.is_kept, f.exec_id as ended_id, f.worker as ended_by, l.*
),
done as (
    insert into fencepost.done_tasks
        (seq, id, definition, definition_version, label, params, requester, settings, created_by, created_at,
         asked_execute_at, version, action, done_by, status_before, outcome, reason_type, reason_message, error,
         exec_id, retry_count, execute_at, worker, done_at, workflow_seq, lease_entry, leased_at, leased_by,
         lease_ends_at)
    select
        e.seq, e.id, e.definition, e.definition_version, e.label, e.params, e.requester, e.settings, e.created_by,
        e.created_at, e.asked_execute_at, e.version + 1, 'awf.task/fail', e.caller, 'in-progress', 'failed',
        'awf.task/failed-by-executor', 'Failed by executor', e.error, e.exec_id, e.retry_count, e.execute_at, e.worker,
        e.now, e.workflow_seq, e.request_hash, e.updated_at, e.held_by, e.deadline_at
    from ended as e
    where e.is_kept
),
receipted as (
    insert into fencepost.receipts
        (prefix, definition, definition_version, action, outcome, seqs, hashes, names, created_at, at)
    select
        left(e.exec_id::text, 18) collate "C", e.definition, e.definition_version, 'awf.task/fail', 'failed',
        array_agg(e.seq), array_agg(hashtextextended(concat(e.id, ' ', e.error::text), 0)),
        array_agg(distinct fencepost.task_name(e.id, e.seq)),
        min(e.created_at), min(e.now)
    from ended as e
    where not e.is_kept
    group by left(e.exec_id::text, 18) collate "C", e.definition, e.definition_version
),
logged as (
    insert into fencepost.task_log
        (seq, version, at, action, action_params, caller, worker, status_before, status, exec_id, retry_count,
         execute_at, deadline_at)
    select
        r.seq, r.version, r.now, 'awf.task/fail', json_build_object('error', r.error), r.caller, r.ended_by,
        'in-progress', 'waiting', r.ended_id, r.retry_count, r.execute_at, r.deadline_at
    from retried as r
    union all
    -- The entry of the lease, which stood in the row until now.
    select
        r.seq, r.version - 1, r.leased_at, fencepost.lease_action(r.entry, r.version - 1), null, r.leased_by,
        r.ended_by, fencepost.lease_before(r.entry), 'in-progress', r.ended_id, r.retry_count, r.executed_at,
        r.lease_ends_at
    from retried as r
    where fencepost.lease_action(r.entry, r.version - 1) is not null
),
resource as (
    select
        r.call,
        r.id, r.definition, r.definition_version, case when r.again then 'waiting' else 'done' end as status,
        r.label, r.params, r.requester, r.settings, r.created_at,
        r.version + (not r.again)::integer as version, r.exec_id,
        r.retry_count, r.execute_at, case when r.again then r.deadline_at end as deadline_at, r.now as updated_at,
        r.worker,
        case when not r.again then 'failed' end as outcome,
        case when not r.again then 'awf.task/failed-by-executor' end as reason_type,
        case when not r.again then 'Failed by executor' end as reason_message,
        null as result,
        case when not r.again then r.error end as error
    from (
        select r.call, r.error, r.again, r.now, r.id, r.definition, r.definition_version, r.label, r.params,
            r.requester, r.settings, r.created_at, r.version, r.exec_id, r.retry_count, r.execute_at, r.deadline_at,
            r.worker
        from retried as r
        union all
        select e.call, e.error, e.again, e.now, e.id, e.definition, e.definition_version, e.label, e.params,
            e.requester, e.settings, e.created_at, e.version, e.exec_id, e.retry_count, e.execute_at, e.deadline_at,
            e.worker
        from ended as e
    ) as r
)
select *
from resource
