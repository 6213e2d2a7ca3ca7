-- Lock live workflows, those of some tasks and others, in the order of their numbers: parents before their children.
-- Takes:   tasks bigint[], the numbers of tasks, live or done; workflows bigint[]; with_parents boolean, whether to lock
--          the parents too, who will be told when one of these ends.
-- Returns: per locked workflow (seq); one that is over returns no row.
-- Touches: row locks of live_workflows; reads live_tasks, done_tasks. Run before everything else in its transaction: what
--          happens to a workflow happens one after the other.
with wanted as materialized (
    select u.seq from unnest(%(workflows)s::bigint[]) as u (seq)
    union
    select r.workflow_seq
    from unnest(%(tasks)s::bigint[]) as t (seq)
    -- `limit` keeps the look-up a probe of an index in every plan, also in one made while the table was empty, and what
    -- is live is not looked for in the history.
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
