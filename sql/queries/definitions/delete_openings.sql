-- Delete the openings of a definition.
-- Takes:   name.
-- Returns: nothing.
-- Touches: openings. Run after lock.sql and update_limit_keys.sql, and before create_openings.sql, which creates
--          openings for the new keys.
delete from fencepost.openings as o
where o.definition = %(name)s::text
