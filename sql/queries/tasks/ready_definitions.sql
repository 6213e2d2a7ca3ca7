-- Which of these definitions have ready tasks: what no one announced to the polls that wait.
-- Takes:   definitions text[].
-- Returns: one row (definition) each that has some.
-- Touches: nothing; reads live_tasks.
select w.definition
from unnest(%(definitions)s::text[]) as w (definition)
-- `exists` becomes a join with everything that is ready, in a plan that was made while nothing was.
cross join lateral (
    select from fencepost.live_tasks as l where l.status = 'ready' and l.definition = w.definition limit 1
) as ready
