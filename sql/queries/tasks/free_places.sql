-- Find the oldest ready tasks that the limits of their keys leave places for.
-- Takes:   definitions text[], those with a limit; afters text[], for each the key behind which to begin ('' for the
--          first); size integer, how many tasks at most.
-- Returns: one row (seqs, looked): the tasks in queue order, and for each definition the key behind which to begin the
--          next time.
-- Touches: nothing; reads live_tasks, definitions. Run behind lock_limits.sql: what is found must stay free.
with recursive keys as (
    -- From one key that has ready tasks to the next, a probe each: a scan would read every task that is blocked. Two
    -- arcs, from `after` to the end and from the beginning to `after`, bring every key its turn, however many there are.
    select d.name as definition, d.concurrency_limit, arc.until, k.*
    from unnest(%(definitions)s::text[], %(afters)s::text[]) as w (name, after)
    join fencepost.definitions as d on d.name = w.name and d.is_newest and d.concurrency_limit is not null
    cross join lateral (values (w.after, null), ('', w.after)) as arc (after, until)
    cross join lateral (
        select l.limit_key, l.ready_at, l.seq
        from fencepost.live_tasks as l
        where l.status = 'ready' and l.limit_key is not null
            and l.definition = d.name and l.limit_key > arc.after
        order by l.limit_key, l.ready_at, l.seq
        limit 1
    ) as k
    where arc.until is null or k.limit_key <= arc.until
    union all
    select b.definition, b.concurrency_limit, b.until, k.*
    from keys as b
    cross join lateral (
        select l.limit_key, l.ready_at, l.seq
        from fencepost.live_tasks as l
        where l.status = 'ready' and l.limit_key is not null
            and l.definition = b.definition and l.limit_key > b.limit_key
        order by l.limit_key, l.ready_at, l.seq
        limit 1
    ) as k
    where b.until is null or k.limit_key <= b.until
),
free as materialized (
    -- Read only until there are enough: what is passed over is blocked, by a lease at least.
    select k.*, u.places
    from keys as k
    cross join lateral (
        select k.concurrency_limit - count(*) as places
        from fencepost.live_tasks as l
        where l.exec_id is not null and l.limit_key is not null
            and l.definition = k.definition and l.limit_key = k.limit_key
    ) as u
    where u.places > 0
    limit greatest(%(size)s::integer, 250)
),
found as (
    -- A key's oldest task decides: the oldest tasks of all are among those of the `size` keys that begin earliest.
    select r.seq, r.ready_at
    from (select f.* from free as f order by f.ready_at, f.seq limit %(size)s::integer) as f
    cross join lateral (
        select l.seq, l.ready_at
        from fencepost.live_tasks as l
        where l.status = 'ready' and l.limit_key is not null
            and l.definition = f.definition and l.limit_key = f.limit_key
        order by l.ready_at, l.seq
        limit f.places
    ) as r
    order by r.ready_at, r.seq
    limit %(size)s::integer
)
select
    array(select f.seq from found as f) as seqs,
    array(
        select coalesce((select max(f.limit_key) from free as f where f.definition = w.name and f.until is null), '')
        from unnest(%(definitions)s::text[]) as w (name)
    ) as looked
