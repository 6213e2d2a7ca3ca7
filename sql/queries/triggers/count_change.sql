-- Note that the triggers have changed, if a name is that of one.
-- Takes:   name.
-- Returns: nothing.
-- Touches: trigger_changes; reads definitions. Run behind definitions/promote.sql or delete.sql in one transaction.
update fencepost.trigger_changes as t
set number = t.number + 1
where exists (select from fencepost.definitions as d where d.name = %(name)s::text and d.kind = 'trigger')
