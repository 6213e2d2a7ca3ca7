-- Count a change of the triggers, if a name is that of a trigger.
-- Takes:   name.
-- Returns: nothing.
-- Touches: trigger_changes; reads definitions. Run after definitions/promote.sql or definitions/delete.sql in one
--          transaction.
update fencepost.trigger_changes as t
set number = t.number + 1
where exists (select from fencepost.definitions as d where d.name = %(name)s::text and d.kind = 'trigger')
