-- Find which of some workflows are not live, or not any more.
-- Takes:   ids text[].
-- Returns: per such workflow (place), its place in ids, from 0.
-- Touches: nothing; reads workflow_names, live_workflows.
select (a.place - 1)::integer as place
from unnest(%(ids)s::text[]) with ordinality as a (id, place)
-- `offset 0` keeps one index probe for each id, as in tasks/find_ended.sql.
where not exists (
    select
    from fencepost.live_workflows as w
    where w.seq = (select n.seq from fencepost.workflow_names as n where n.id = a.id)
    offset 0
)
