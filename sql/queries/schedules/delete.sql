-- Delete the state of a schedule; its run history stays.
-- Takes:   name.
-- Returns: nothing.
-- Touches: schedules.
delete from fencepost.schedules as s
where s.name = %(name)s::text
