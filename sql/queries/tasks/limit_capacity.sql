-- Find the oldest ready tasks within the free capacity of their limit keys, and clean up openings.
-- Takes:   definitions text[], each with a limit; size integer, the most tasks to find; width integer, how many
--          openings of each definition to read; now.
-- Returns: one row (seqs, number, more): the tasks as the text of an array, their number, and whether there are openings
--          that were not read.
-- Touches: openings; reads live_tasks, definitions. Run after lock_limits.sql: the free capacity must not change before
--          the claim.
with wanted as materialized (
    select d.name as definition, d.concurrency_limit
    from unnest(%(definitions)s::text[]) as w (name)
    join fencepost.definitions as d on d.name = w.name and d.is_newest and d.concurrency_limit is not null
),
visited as materialized (
    select w.definition, w.concurrency_limit, o.*
    from wanted as w
    cross join lateral (
        select o.ctid as place, o.limit_key, o.seq
        from fencepost.openings as o
        where o.definition = w.definition
        order by o.ready_at, o.seq
        limit %(width)s::integer
    ) as o
),
keys as materialized (
    -- The head of a key is its oldest ready task, if the key has free capacity.
    select k.definition, k.limit_key, h.*
    from (
        select v.definition, v.concurrency_limit, v.limit_key from visited as v
        union
        select w.definition, w.concurrency_limit, '-' from wanted as w
    ) as k
    left join lateral (
        select l.ready_at, l.seq, u.places
        from (
            select l.ready_at, l.seq
            from fencepost.live_tasks as l
            where l.status = 'ready' and l.limit_key is not null
                and l.definition = k.definition and l.limit_key = k.limit_key
            order by l.ready_at, l.seq
            limit 1
        ) as l
        cross join lateral (
            select k.concurrency_limit - count(*) as places
            from fencepost.live_tasks as l
            where l.exec_id is not null and l.limit_key is not null
                and l.definition = k.definition and l.limit_key = k.limit_key
        ) as u
        where u.places > 0
    ) as h on true
),
found as (
    -- The `size` oldest tasks belong to the `size` keys with the oldest heads.
    select r.seq, r.ready_at
    from (
        select k.* from keys as k where k.seq is not null order by k.ready_at, k.seq limit %(size)s::integer
    ) as k
    cross join lateral (
        select l.seq, l.ready_at
        from fencepost.live_tasks as l
        where l.status = 'ready' and l.limit_key is not null
            and l.definition = k.definition and l.limit_key = k.limit_key
            and (l.expires_at is null or l.expires_at > coalesce(%(now)s::timestamptz, statement_timestamp()))
        order by l.ready_at, l.seq
        limit k.places
    ) as r
    order by r.ready_at, r.seq
    limit %(size)s::integer
),
kept as materialized (
    -- One opening for each key with free capacity, at the place of its head: the claim may not use all of it.
    select k.definition, k.limit_key, k.ready_at, k.seq, min(v.place) as place
    from keys as k
    left join visited as v on v.definition = k.definition and v.limit_key = k.limit_key and v.seq = k.seq
    where k.seq is not null and k.limit_key <> '-'
    group by k.definition, k.limit_key, k.ready_at, k.seq
),
closed as (
    -- Delete only openings that this statement saw: a concurrent change adds an opening of its own.
    delete from fencepost.openings as o
    using visited as v
    where o.ctid = v.place and v.place not in (select k.place from kept as k where k.place is not null)
),
moved as (
    insert into fencepost.openings (definition, ready_at, seq, limit_key)
    select k.definition, k.ready_at, k.seq, k.limit_key from kept as k where k.place is null
)
select
    array(select f.seq from found as f)::text as seqs, (select count(*)::integer from found as f) as number,
    coalesce((select max(w.count) from (select count(*) from visited as v group by v.definition) as w), 0)
        >= %(width)s::integer as more
