-- Create an opening for each limit key of a definition that has ready tasks.
-- Takes:   name.
-- Returns: nothing.
-- Touches: openings; reads live_tasks. Run after lock.sql in the transaction of a put that raises the limit or changes
--          the keys.
with recursive keys as (
    (
        select l.limit_key, l.ready_at, l.seq
        from fencepost.live_tasks as l
        where l.status = 'ready' and l.limit_key is not null and l.definition = %(name)s::text
        order by l.limit_key, l.ready_at, l.seq
        limit 1
    )
    union all
    select n.*
    from keys as k
    cross join lateral (
        select l.limit_key, l.ready_at, l.seq
        from fencepost.live_tasks as l
        where l.status = 'ready' and l.limit_key is not null
            and l.definition = %(name)s::text and l.limit_key > k.limit_key
        order by l.limit_key, l.ready_at, l.seq
        limit 1
    ) as n
)
insert into fencepost.openings (definition, ready_at, seq, limit_key)
select %(name)s::text, k.ready_at, k.seq, k.limit_key
from keys as k
where k.limit_key <> '-'
