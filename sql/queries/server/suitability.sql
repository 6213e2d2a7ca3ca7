-- Read the facts that decide whether a server can work on this database with this role.
-- Takes:   nothing.
-- Returns: one row (pid, encoding, is_standby, is_read_only, role, name, has_schema, may_create, owns_tables).
-- Touches: nothing; reads the catalogue.
select
    pg_catalog.pg_backend_pid() as pid,
    pg_catalog.current_setting('server_encoding') as encoding,
    pg_catalog.pg_is_in_recovery() as is_standby,
    pg_catalog.current_setting('transaction_read_only') = 'on' as is_read_only,
    current_user::text as role,
    pg_catalog.current_database()::text as name,
    n.oid is not null as has_schema,
    case
        when n.oid is null then pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create')
        -- The server creates partitions while it runs.
        else pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_schema_privilege(n.oid, 'create')
    end as may_create,
    not exists (
        select from pg_catalog.pg_class as c
        where
            c.relnamespace = n.oid and c.relkind in ('r', 'p', 'v', 'S')
            and not pg_catalog.pg_has_role(c.relowner, 'usage')
    ) as owns_tables
from (values (true)) as one
left join pg_catalog.pg_namespace as n on n.nspname = 'fencepost'
