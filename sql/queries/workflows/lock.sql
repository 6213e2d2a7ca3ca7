-- Lock live workflows, given directly or by their tasks, in the order of seq: parents before children.
-- Takes:   tasks bigint[], live or done; workflows bigint[]; with_parents boolean, whether to lock the parents too,
--          which get an event when one of these ends.
-- Returns: per locked workflow (seq); a finished workflow has no row.
-- Touches: row locks of live_workflows; reads live_tasks, done_tasks. Run first in its transaction: changes of one
--          workflow happen one after the other.
with wanted as materialized (
    select u.seq from unnest(%(workflows)s::bigint[]) as u (seq)
    union
    select r.workflow_seq
    from unnest(%(tasks)s::bigint[]) as t (seq)
    -- `limit` makes the look-up an index probe in every plan, also one made while the table was empty. A live task is
    -- not searched for in the history.
    cross join lateral (
        select l.workflow_seq from fencepost.live_tasks as l where l.seq = t.seq
        union all
        select d.workflow_seq from fencepost.done_tasks as d where d.seq = t.seq
        limit 1
    ) as r
)
select w.seq
from fencepost.live_workflows as w
where w.seq = any(array(
    select u.seq from wanted as u
    union
    select p.parent_seq
    from wanted as u
    cross join lateral (
        select l.parent_seq from fencepost.live_workflows as l where l.seq = u.seq and %(with_parents)s::boolean offset 0
    ) as p
))
order by w.seq
for no key update
