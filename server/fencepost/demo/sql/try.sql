-- Convert one resource as load.sql does, to learn whether Postgres takes it.
-- Takes:   resource_type, id, resource text.
-- Returns: them.
-- Touches: nothing.
select %(resource_type)s::text, %(id)s::text, %(resource)s::jsonb
