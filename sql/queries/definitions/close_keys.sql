-- Take away what leads claims to the keys of a definition.
-- Takes:   name.
-- Returns: nothing.
-- Touches: openings. Run behind lock.sql and relabel.sql, before open_keys.sql, which leads to the keys that there are now.
delete from fencepost.openings as o
where o.definition = %(name)s::text
