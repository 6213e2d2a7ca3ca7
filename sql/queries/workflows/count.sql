-- Count workflows.
-- Takes:   ids, include, exclude, statuses, outcomes text[] and pattern, as in list.sql; low and high bigint, the range
--          of seq to count (null for all).
-- Returns: one row (total).
-- Touches: nothing; reads workflow_names, workflow_resources.
select count(*) as total
from fencepost.workflow_resources as r
where (%(include)s::text[] is null or r.definition = any(%(include)s::text[]))
    and (%(exclude)s::text[] is null or r.definition <> all(%(exclude)s::text[]))
    and (%(statuses)s::text[] is null or r.status = any(%(statuses)s::text[]))
    and (%(outcomes)s::text[] is null or r.outcome = any(%(outcomes)s::text[]))
    and (
        %(ids)s::text[] is null
        or r.seq = any(array(select n.seq from fencepost.workflow_names as n where n.id = any(%(ids)s::text[])))
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
