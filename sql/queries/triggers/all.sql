-- All triggers, and how often they have changed so far.
-- Takes:   nothing.
-- Returns: per trigger (number, name, version, document); one row with nulls behind the number when there is none.
-- Touches: nothing; reads trigger_changes, definitions.
select t.number, d.name, d.version, d.document
from fencepost.trigger_changes as t
left join fencepost.definitions as d on d.kind = 'trigger' and d.is_newest
order by d.name
