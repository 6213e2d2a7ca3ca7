-- Find tasks by their ids, whole as far as they fit into an answer.
-- Takes:   ids text[]; seqs bigint[], as in find_ended.sql; most_bytes bigint.
-- Returns: per found task its resource row, in which `call` is its place in ids, from 0; and `fits`, false beyond
--          most_bytes: such a row has no params, result and error.
-- Touches: nothing; reads task_names, task_resources.
with asked as materialized (
    select
        (a.place - 1)::integer as call, a.id,
        coalesce(a.seq, (select n.seq from fencepost.task_names as n where n.id = a.id)) as seq
    from unnest(%(ids)s::text[], %(seqs)s::bigint[]) with ordinality as a (id, seq, place)
),
found as (
    select
        a.call, r.*,
        -- The size as stored: the payloads beyond the limit are not read.
        coalesce(pg_column_size(r.params), 0) + coalesce(pg_column_size(r.result), 0)
            + coalesce(pg_column_size(r.error), 0) as bytes
    from asked as a
    cross join lateral (
        -- `offset 0`: a join key is not pushed into each part of the view.
        select
            r.id, r.definition, r.definition_version, r.status, r.label, r.params, r.requester, r.settings,
            r.created_at, r.version, r.exec_id, r.retry_count, r.execute_at, r.deadline_at, r.updated_at, r.worker,
            r.outcome, r.reason_type, r.reason_message, r.result, r.error
        from fencepost.task_resources as r
        where r.seq = a.seq and r.id = a.id
        offset 0
    ) as r
),
measured as (
    select f.*, sum(f.bytes) over (order by f.call) - f.bytes < %(most_bytes)s::bigint as fits
    from found as f
)
select
    m.call,
    m.id, m.definition, m.definition_version, m.status,
    m.label, case when m.fits then m.params end as params, m.requester, m.settings, m.created_at,
    m.version, m.exec_id, m.retry_count, m.execute_at, m.deadline_at, m.updated_at,
    m.worker, m.outcome, m.reason_type, m.reason_message,
    case when m.fits then m.result end as result, case when m.fits then m.error end as error,
    m.fits
from measured as m
order by m.call
