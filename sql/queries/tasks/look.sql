-- See what no one announced: which of these definitions have tasks to give, and when the next deadline is.
-- Takes:   definitions text[], those that polls wait for; now.
-- Returns: one row (definition, limited, due_in) for each that has some, or one without a definition when none has;
--          due_in are the seconds to the next deadline of a live task, negative when it has passed, null without one.
-- Touches: nothing; reads live_tasks, definitions.
with ready as (
    select w.definition, false as limited
    from unnest(%(definitions)s::text[]) as w (definition)
    -- `exists` becomes a join with everything that is ready, in a plan that was made while nothing was.
    cross join lateral (
        select
        from fencepost.live_tasks as l
        where l.status = 'ready' and l.limit_key is null and l.definition = w.definition
        limit 1
    ) as ready
    union all
    select d.name, true
    from unnest(%(definitions)s::text[]) as w (definition)
    join fencepost.definitions as d on d.name = w.definition and d.is_newest and d.concurrency_limit is not null
    cross join lateral (
        -- Up to the first key with a free place, as in free_places.sql: work that is blocked wakes nobody.
        with recursive keys as (
            (
                select l.limit_key
                from fencepost.live_tasks as l
                where l.status = 'ready' and l.limit_key is not null and l.definition = d.name
                order by l.limit_key
                limit 1
            )
            union all
            select k.limit_key
            from keys as b
            cross join lateral (
                select l.limit_key
                from fencepost.live_tasks as l
                where l.status = 'ready' and l.limit_key is not null
                    and l.definition = d.name and l.limit_key > b.limit_key
                order by l.limit_key
                limit 1
            ) as k
        )
        select
        from keys as k
        where d.concurrency_limit > (
            select count(*)
            from fencepost.live_tasks as l
            where l.exec_id is not null and l.limit_key is not null
                and l.definition = d.name and l.limit_key = k.limit_key
        )
        limit 1
    ) as ready
)
select
    r.definition, r.limited,
    extract(epoch from n.deadline_at - coalesce(%(now)s::timestamptz, statement_timestamp()))::float8 as due_in
from (select min(l.deadline_at) as deadline_at from fencepost.live_tasks as l where l.deadline_at is not null) as n
left join ready as r on true
