-- Let go what was written to people's tasks whose lists are gone, a batch at a time.
-- Takes:   batch integer.
-- Returns: one row (count), how many tasks that were.
-- Touches: people_tasks, and with them people_events, people_mails; reads activities.
with gone as (
    delete from fencepost.people_tasks as t
    where t.seq in (
        select p.seq
        from fencepost.people_tasks as p
        -- The labels of a list stay as long as the list. `offset 0` keeps this a probe: a batch must not read them all.
        where not exists (select from fencepost.activities as a where a.workflow_seq = p.workflow_seq offset 0)
        -- Those that began first are gone first.
        order by p.workflow_seq
        limit %(batch)s::integer
    )
    returning t.seq
)
select count(*)::integer as count
from gone
