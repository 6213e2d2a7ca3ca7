-- List all triggers, and the number of changes that they have had.
-- Takes:   nothing.
-- Returns: per trigger (number, name, version, document); one row with only the number when there are no triggers.
-- Touches: nothing; reads trigger_changes, definitions.
select t.number, d.name, d.version, d.document
from fencepost.trigger_changes as t
left join fencepost.definitions as d on d.kind = 'trigger' and d.is_newest
order by d.name
