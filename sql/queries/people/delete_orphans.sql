-- Delete the saved fields, events and mail links of people's tasks in deleted lists, a batch at a time.
-- Takes:   batch integer.
-- Returns: one row (count), how many tasks.
-- Touches: people_tasks, and with them people_events, people_mails; reads activities.
with gone as (
    delete from fencepost.people_tasks as t
    where t.seq in (
        select p.seq
        from fencepost.people_tasks as p
        -- The labels of a list are deleted with the list. `offset 0` makes this a probe: a batch must not read all
        -- labels.
        where not exists (select from fencepost.activities as a where a.workflow_seq = p.workflow_seq offset 0)
        -- Old lists are deleted first, so their tasks come first.
        order by p.workflow_seq
        limit %(batch)s::integer
    )
    returning t.seq
)
select count(*)::integer as count
from gone
