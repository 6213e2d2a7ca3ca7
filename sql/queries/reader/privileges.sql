-- Find privileges that a reader must not have: of the role of this connection, or of a role that it can take.
-- Takes:   nothing.
-- Returns: one row (role, is_superuser, writes_to): a table of the schema fencepost that it may change, null for none.
-- Touches: nothing; reads the catalogue.
with role as (
    select r.oid, r.rolsuper
    from pg_catalog.pg_roles as r
    -- The session can return to its own role.
    where pg_catalog.pg_has_role(session_user, r.oid, 'member') or pg_catalog.pg_has_role(current_user, r.oid, 'member')
)
select
    current_user::text as role,
    exists (select from role as r where r.rolsuper) as is_superuser,
    (
        select min(c.relname::text)
        from pg_catalog.pg_class as c
        join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
        join role as r
            on pg_catalog.has_table_privilege(r.oid, c.oid, 'insert, update, delete, truncate')
                or pg_catalog.has_any_column_privilege(r.oid, c.oid, 'insert, update')
        where n.nspname = 'fencepost' and c.relkind in ('r', 'p', 'v')
    ) as writes_to
