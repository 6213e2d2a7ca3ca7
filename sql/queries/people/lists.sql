-- The task lists, live and done, a batch at a time.
-- Takes:   after bigint, the number to go on behind (0 to begin); batch integer.
-- Returns: per list (seq).
-- Touches: nothing; reads live_workflows, done_workflows, definitions.
select w.seq
from fencepost.workflow_resources as w
join fencepost.definitions as d
    on d.name = w.definition and d.version = w.definition_version and d.kind = 'process'
where w.seq > %(after)s::bigint
order by w.seq
limit %(batch)s::integer
