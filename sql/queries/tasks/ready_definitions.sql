-- List the definitions that have ready tasks without a limit; for claims with very many definitions.
-- Takes:   nothing.
-- Returns: per definition (name).
-- Touches: nothing; reads live_tasks, one index probe a definition.
with recursive ready as (
    (
        select l.definition
        from fencepost.live_tasks as l
        where l.status = 'ready' and l.limit_key is null
        order by l.definition
        limit 1
    )
    union all
    select n.definition
    from ready as r
    cross join lateral (
        select l.definition
        from fencepost.live_tasks as l
        where l.status = 'ready' and l.limit_key is null and l.definition > r.definition
        order by l.definition
        limit 1
    ) as n
)
select r.definition as name from ready as r
