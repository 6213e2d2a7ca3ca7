-- Find the definitions that have tasks to lease, and the time until the next deadline.
-- Takes:   definitions text[] that polls wait for; now.
-- Returns: one row (definition, limited, due_in) for each that has tasks, or one row without a definition when none
--          has; `due_in` is the time to the next deadline of a live task in seconds, negative when it has passed, null
--          when there is none.
-- Touches: nothing; reads live_tasks, openings, definitions.
with ready as (
    select w.definition, false as limited
    from unnest(%(definitions)s::text[]) as w (definition)
    -- Not `exists`: in a plan made while nothing was ready, it becomes a join with all ready tasks.
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
        -- Blocked work must not wake a poll. After 100 openings the answer is yes: only a claim can find out.
        select
        from (
            (
                select o.limit_key, row_number() over (order by o.ready_at, o.seq) as number
                from fencepost.openings as o
                where o.definition = d.name
                order by o.ready_at, o.seq
                limit 100
            )
            union all
            select '-', 0
        ) as k
        where k.number = 100 or (
            select count(*)
            from (
                select
                from fencepost.live_tasks as l
                where l.status = 'ready' and l.limit_key is not null
                    and l.definition = d.name and l.limit_key = k.limit_key
                limit 1
            ) as waits
        ) > 0 and d.concurrency_limit > (
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
