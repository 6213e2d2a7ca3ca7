-- End tasks past their deadline: a wait as succeeded; others as failed, expired or without retries left.
-- Takes:   calls json: [{call, seq, exec_id}]; now.
-- Returns: per ended task (call, definition); a task that was renewed or ended in between has no row.
-- Touches: live_tasks, done_tasks, receipts; reads definitions.
with calls as materialized (
    select c.*, coalesce(%(now)s::timestamptz, statement_timestamp()) as now
    from json_to_recordset(%(calls)s::json) as c (call integer, seq bigint, exec_id uuid)
),
held as materialized (
    select
        c.call, c.exec_id, c.now, l.place, l.status,
        l.workflow_seq is not null or d.keep is distinct from 'none' as is_kept
    from calls as c
    cross join lateral (
        select l.ctid as place, l.deadline_at, l.status, l.definition, l.definition_version, l.workflow_seq
        from fencepost.live_tasks as l
        where l.seq = c.seq and l.exec_id is not distinct from c.exec_id
            and (l.status = 'in-progress' or l.expires_at <= c.now)
        offset 0
    ) as l
    left join fencepost.definitions as d on d.name = l.definition and d.version = l.definition_version
    -- Outside the probe, or the planner would use the index on deadlines.
    where l.deadline_at <= c.now
),
ended as (
    delete from fencepost.live_tasks as l
    using held as h
    -- A task that was renewed in between has moved and is not ended.
    where l.ctid = h.place and l.status = h.status and l.exec_id is not distinct from h.exec_id
    returning
        h.call, h.now, h.is_kept, l.*, l.definition = 'awf.task/wait' as waited, l.status <> 'in-progress' as late
),
done as (
    insert into fencepost.done_tasks
        (seq, id, definition, definition_version, label, params, requester, settings, created_by, created_at,
         asked_execute_at, version, action, done_by, status_before, outcome, reason_type, reason_message, exec_id,
         retry_count, execute_at, worker, done_at, workflow_seq, lease_entry, leased_at, leased_by, lease_ends_at)
    select
        e.seq, e.id, e.definition, e.definition_version, e.label, e.params, e.requester, e.settings, e.created_by,
        e.created_at, e.asked_execute_at, e.version + 1,
        case
            when e.waited then 'awf.engine/success'
            when e.late then 'awf.engine/expire'
            else 'awf.engine/timeout'
        end,
        'awf.engine', e.status, case when e.waited then 'succeeded' else 'failed' end,
        case
            when e.waited then null
            when e.late then 'awf.task/expired'
            else 'awf.task/failed-due-to-in-progress-timeout'
        end,
        case
            when e.waited then null
            when e.late then 'Not begun in time'
            else 'Failed due to in-progress timeout'
        end,
        e.exec_id, e.retry_count, e.execute_at, e.worker, e.now, e.workflow_seq, e.request_hash,
        e.updated_at, e.held_by, e.deadline_at
    from ended as e
    where e.is_kept
),
receipted as (
    insert into fencepost.receipts
        (prefix, definition, definition_version, action, outcome, seqs, hashes, names, created_at, at)
    select
        left(e.exec_id::text, 18) collate "C", e.definition, e.definition_version,
        case when e.late then 'awf.engine/expire' else 'awf.engine/timeout' end, 'failed',
        array_agg(e.seq), array_agg(hashtextextended(concat(e.id, ' ', null), 0)),
        array_agg(distinct fencepost.task_name(e.id, e.seq)),
        min(e.created_at), min(e.now)
    from ended as e
    where not e.is_kept
    group by left(e.exec_id::text, 18) collate "C", e.definition, e.definition_version, e.late
)
select e.call, e.definition
from ended as e
