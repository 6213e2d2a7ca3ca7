-- List tasks, page by page.
-- Takes:   ids, include, exclude, statuses, outcomes text[] and pattern (each null for any); seqs bigint[], the numbers
--          inside `ids`; low and high bigint, the range of seq to read (null for all); position timestamptz and
--          position_seq bigint, from the last row of the previous page (null for the first page); size integer. The
--          store fills in the words in braces from a closed list, since an order cannot be a parameter: by seq, which
--          grows with the time of creation, or by updated_at and seq.
-- Returns: per task its resource row, and (position, position_seq) for the next page.
-- Touches: nothing; reads task_names, task_resources.
select
    null::integer as call,
    r.id, r.definition, r.definition_version, r.status,
    r.label, r.params, r.requester, r.settings, r.created_at,
    r.version, r.exec_id, r.retry_count, r.execute_at, r.deadline_at, r.updated_at,
    r.worker, r.outcome, r.reason_type, r.reason_message, r.result, r.error,
    r.updated_at as position, r.seq as position_seq
from fencepost.task_resources as r
-- All decision tasks share one definition, whatever their workflow.
cross join lateral (
    select case when r.decides then 'awf.workflow/decision-task' else r.definition end as definition
) as k
where (%(include)s::text[] is null or k.definition = any(%(include)s::text[]))
    and (%(exclude)s::text[] is null or k.definition <> all(%(exclude)s::text[]))
    and (%(statuses)s::text[] is null or r.status = any(%(statuses)s::text[]))
    and (%(outcomes)s::text[] is null or r.outcome = any(%(outcomes)s::text[]))
    and (
        %(ids)s::text[] is null
        -- By seq: there is no index by id.
        or r.id = any(%(ids)s::text[]) and r.seq = any(array(
            select n.seq from fencepost.task_names as n where n.id = any(%(ids)s::text[])
            union all
            select u.seq from unnest(%(seqs)s::bigint[]) as u (seq)
        ))
    )
    and (
        %(pattern)s::text is null
        or r.id ilike %(pattern)s::text or r.label ilike %(pattern)s::text
        or r.definition ilike %(pattern)s::text or r.reason_message ilike %(pattern)s::text
        or fencepost.says(r.params, %(pattern)s::text) or fencepost.says(r.result, %(pattern)s::text)
        or fencepost.says(r.error, %(pattern)s::text)
    )
    -- The range of seq that a search reads in one step.
    and (%(low)s::bigint is null or r.seq >= %(low)s::bigint) and (%(high)s::bigint is null or r.seq <= %(high)s::bigint)
    and (%(position)s::timestamptz is null or ({key}) {beyond} ({position}))
order by {order}
limit %(size)s::integer
