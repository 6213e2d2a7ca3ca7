-- Count tasks.
-- Takes:   ids, seqs, include, exclude, statuses, outcomes text[] and pattern, as in list.sql; low and high bigint, the
--          range of seq to count (null for all).
-- Returns: one row (total).
-- Touches: nothing; reads task_names, task_resources.
select count(*) as total
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
