-- End running tasks as succeeded: plain ones or activities, whose execIds are in the server's own form.
-- Takes:   ids json, exec_ids json, arrays of text; results json, an array of objects and nulls, or null; caller; now.
-- Returns: per definition (definition, number of its tasks that ended), and per task that did not end (null, its place in
--          the arrays, from 0).
-- Touches: live_tasks, done_tasks, receipts; reads definitions.
with calls as materialized (
    select
        c.position - 1 as place, c.id, c.exec_id::uuid as exec_id,
        case when json_typeof(c.result) <> 'null' then c.result end as result,
        -- The number of the task is the end of the execId (domain/ids.py).
        ('x' || right(c.exec_id, 12))::bit(48)::bigint as seq
    from rows from (
        json_array_elements_text(%(ids)s::json), json_array_elements_text(%(exec_ids)s::json),
        json_array_elements(%(results)s::json)
    ) with ordinality as c (id, exec_id, result, position)
),
held as materialized (
    -- `offset 0` as in success.sql. Tasks of a definition with a result schema are left to it.
    select c.place, c.exec_id, c.result, l.row, d.keep = 'all' or l.workflow_seq is not null as is_kept
    from calls as c
    cross join lateral (
        select l.ctid as row, l.definition, l.definition_version, l.workflow_seq
        from fencepost.live_tasks as l
        where l.seq = c.seq and l.id = c.id and l.status = 'in-progress' and l.exec_id = c.exec_id
        offset 0
    ) as l
    join fencepost.definitions as d on d.name = l.definition and d.version = l.definition_version
    where not d.has_result_schema
    -- Lock in the order that batches use: a batch may hold the second of two tasks and wait for the first.
    order by convert_to(c.id, 'UTF8')
),
ended as (
    delete from fencepost.live_tasks as l
    using held as h
    where l.ctid = h.row and l.status = 'in-progress' and l.exec_id = h.exec_id
    -- The columns that history keeps; those that are read most stand first.
    returning h.place, h.is_kept, l.definition, l.seq, l.id, h.result, l.definition_version, l.label, l.params,
        l.requester, l.settings, l.created_by, l.created_at, l.asked_execute_at, l.version, l.exec_id, l.retry_count,
        l.execute_at, l.worker, l.workflow_seq, l.request_hash, l.updated_at, l.held_by, l.deadline_at
),
done as (
    insert into fencepost.done_tasks
        (seq, id, definition, definition_version, label, params, requester, settings, created_by, created_at,
         asked_execute_at, version, action, done_by, status_before, outcome, result, exec_id, retry_count, execute_at,
         worker, done_at, workflow_seq, lease_entry, leased_at, leased_by, lease_ends_at)
    select
        e.seq, e.id, e.definition, e.definition_version, e.label, e.params, e.requester, e.settings, e.created_by,
        e.created_at, e.asked_execute_at, e.version + 1, 'awf.task/success', %(caller)s::text, 'in-progress',
        'succeeded', e.result, e.exec_id, e.retry_count, e.execute_at, e.worker,
        coalesce(%(now)s::timestamptz, statement_timestamp()), e.workflow_seq, e.request_hash,
        e.updated_at, e.held_by, e.deadline_at
    from ended as e
    where e.is_kept
),
receipted as (
    insert into fencepost.receipts
        (prefix, definition, definition_version, action, outcome, seqs, hashes, names, created_at, at)
    select
        left(e.exec_id::text, 18) collate "C", e.definition, e.definition_version, 'awf.task/success', 'succeeded',
        array_agg(e.seq), array_agg(hashtextextended(concat(e.id, ' ', e.result::text), 0)),
        array_agg(distinct fencepost.task_name(e.id, e.seq)),
        min(e.created_at), coalesce(%(now)s::timestamptz, statement_timestamp())
    from ended as e
    where not e.is_kept
    group by left(e.exec_id::text, 18) collate "C", e.definition, e.definition_version
)
select e.definition, count(*) as number
from ended as e
group by e.definition
union all
select null, c.place
from calls as c
where c.place not in (select e.place from ended as e)
