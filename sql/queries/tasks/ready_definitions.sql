-- Tell which definitions have ready tasks without a limit, going from one that has some to the next: for claims that name
-- so many that a look for each of them costs more.
-- Takes:   nothing.
-- Returns: per definition (name).
-- Touches: nothing; reads live_tasks.
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
