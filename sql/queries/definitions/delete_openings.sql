-- Take away what leads claims to the keys of a definition.
-- Takes:   name.
-- Returns: nothing.
-- Touches: openings. Run behind lock.sql and update_limit_keys.sql, before create_openings.sql, which leads to the keys that there are now.
delete from fencepost.openings as o
where o.definition = %(name)s::text
