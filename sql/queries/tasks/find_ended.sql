-- Find which of some tasks are not live, or not any more.
-- Takes:   ids text[]; seqs bigint[], for each id the number inside it, null for an id that a caller chose.
-- Returns: per such task (place), its place in ids, from 0.
-- Touches: nothing; reads task_names, live_tasks.
select (a.place - 1)::integer as place
from unnest(%(ids)s::text[], %(seqs)s::bigint[]) with ordinality as a (id, seq, place)
-- `offset 0` keeps one index probe for each id; as an anti-join, the planner may read all live tasks.
where not exists (
    select
    from fencepost.live_tasks as l
    where l.seq = coalesce(a.seq, (select n.seq from fencepost.task_names as n where n.id = a.id))
    offset 0
)
