-- List workflows, page by page.
-- Takes:   ids, include, exclude, statuses, outcomes text[] and pattern (each null for any); low and high bigint, the
--          range of seq to read (null for all); position timestamptz and position_seq bigint, from the last row of the
--          previous page (null for the first page); size integer. The store fills in the words in braces from a closed
--          list, since an order cannot be a parameter.
-- Returns: per workflow its resource row, and (position, position_seq) for the next page.
-- Touches: nothing; reads workflow_names, workflow_resources.
select
    r.id, r.definition, r.definition_version, r.status, r.label, r.params, r.requester, r.created_at, r.version,
    r.execute_at, r.updated_at, r.outcome, r.reason_type, r.reason_message, r.result, r.error,
    r.updated_at as position, r.seq as position_seq
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
    and (%(position)s::timestamptz is null or ({key}) {beyond} ({position}))
order by {order}
limit %(size)s::integer
