-- Which of these definitions have ready tasks: what no one announced to the polls that wait.
-- Takes:   definitions text[].
-- Returns: one row (definition) each that has some.
-- Touches: nothing; reads live_tasks.
select w.definition
from unnest(%(definitions)s::text[]) as w (definition)
where exists (select from fencepost.live_tasks as l where l.status = 'ready' and l.definition = w.definition)
