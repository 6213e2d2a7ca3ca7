-- Find the tasks of an earlier create_many.sql with the same prefix.
-- Takes:   prefix, digest (as in create_many.sql); size, the number of the tasks.
-- Returns: one row (same, ids, due_in): whether the digest was the same, the ids joined by commas, in the order of
--          their creation, and the seconds from the creation until the tasks become ready, null when they are. `ids` is
--          null or too short when the retention has deleted tasks.
-- Touches: nothing; reads task_names, task_resources.
select
    %(digest)s::text is null
        or exists (
            select from fencepost.task_names as n where n.id = ':' || %(prefix)s::text || ':' || %(digest)s::text
        ) as same,
    string_agg(t.id, ',' order by t.seq) as ids,
    max(extract(epoch from case when t.status = 'waiting' then t.execute_at end - t.created_at))::float8 as due_in
from (
    select r.id, r.seq, r.status, r.execute_at, r.created_at
    from fencepost.task_resources as r
    -- Tasks of other transactions may have numbers in between, but few.
    where r.seq >= (select n.seq from fencepost.task_names as n where n.id = ':' || %(prefix)s::text)
        and r.seq < (select n.seq from fencepost.task_names as n where n.id = ':' || %(prefix)s::text) + 1000000
        and starts_with(r.id, %(prefix)s::text)
    order by r.seq
    limit %(size)s::integer
) as t
