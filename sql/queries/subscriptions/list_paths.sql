-- List the paths that live subscriptions are indexed by.
-- Takes:   nothing.
-- Returns: per path (path), as JSON text.
-- Touches: nothing; reads live_tasks, one index probe a path, however many subscriptions wait at it.
with recursive paths as (
    (
        select l.subscription_path as path
        from fencepost.live_tasks as l
        where l.subscription_path is not null
        order by l.subscription_path
        limit 1
    )
    union all
    select (
        select l.subscription_path
        from fencepost.live_tasks as l
        where l.subscription_path > p.path
        order by l.subscription_path
        limit 1
    )
    from paths as p
    where p.path is not null
)
select p.path
from paths as p
where p.path is not null
