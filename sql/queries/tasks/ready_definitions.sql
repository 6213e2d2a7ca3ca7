-- Find the definitions that a claim for very many definitions takes its tasks from: those with the oldest ready tasks.
-- Takes:   definitions text[]; size integer, the most tasks of the claim, and so the most definitions; now.
-- Returns: per definition (name).
-- Touches: nothing; reads live_tasks without a limit, one index probe for each definition that has ready tasks.
with recursive ready as (
    select '' as definition, null::timestamptz as ready_at, null::bigint as seq
    union all
    select n.definition, n.ready_at, n.seq
    from ready as r
    cross join lateral (
        select l.definition, l.ready_at, l.seq
        from fencepost.live_tasks as l
        where l.status = 'ready' and l.limit_key is null and l.definition > r.definition
            and (l.expires_at is null or l.expires_at > coalesce(%(now)s::timestamptz, statement_timestamp()))
        order by l.definition, l.ready_at, l.seq
        limit 1
    ) as n
)
select r.definition as name
from ready as r
where r.definition = any(%(definitions)s::text[])
order by r.ready_at, r.seq
limit %(size)s::integer
