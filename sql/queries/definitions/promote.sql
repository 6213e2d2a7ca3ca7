-- Make one version of a definition the newest.
-- Takes:   name, version.
-- Returns: nothing.
-- Touches: definitions. Run after put.sql in the same transaction.
update fencepost.definitions as d
set is_newest = true
where d.name = %(name)s::text and d.version = %(version)s::integer and not d.is_newest
