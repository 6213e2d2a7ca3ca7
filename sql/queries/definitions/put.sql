-- Create a new version of a definition, unless the newest version has the same content.
-- Takes:   name, kind, document json, the settings (ms bigint, counts integer, concurrency_path jsonpath),
--          has_result_schema, has_error_schema, keep, created_by; now.
-- Returns: one row (version, created_at, document, relabel, opens) of the version that is to be the newest. `relabel`:
--          live tasks have other limit keys than before, so update_limit_keys.sql must follow. `opens`: the same keys
--          have more capacity, so create_openings.sql must follow. No row when the name belongs to a definition of
--          another kind.
-- Touches: definitions. Run after lock.sql in one transaction: two puts of a new name must not both be version 1.
with newest as (
    select d.version, d.created_at, d.document
    from fencepost.definitions as d
    where d.name = %(name)s::text and d.is_newest and d.document::jsonb = %(document)s::jsonb
),
before as (
    -- A deleted definition may have live tasks again after a retry; they have no limit keys.
    select d.concurrency_limit is not null as limited, d.concurrency_path::text as path, d.concurrency_limit as most
    from fencepost.definitions as d
    where d.name = %(name)s::text and d.is_newest
    union all
    select false, null, null
    limit 1
),
other as (
    -- The kind of a name never changes: live and finished tasks and workflows still refer to its old versions.
    select from fencepost.definitions as d where d.name = %(name)s::text and d.kind <> %(kind)s::text
),
superseded as (
    update fencepost.definitions as d
    set is_newest = false
    where d.name = %(name)s::text and d.is_newest and not exists (select from newest)
        and not exists (select from other)
),
created as (
    insert into fencepost.definitions
        (name, version, kind, document, is_newest, requested_to_start_timeout, in_progress_timeout,
         allowed_retry_count, retry_delay, attempt_timeout, concurrency_limit, concurrency_path, has_result_schema,
         has_error_schema, keep, created_at, created_by)
    select
        %(name)s::text,
        coalesce((select max(d.version) from fencepost.definitions as d where d.name = %(name)s::text), 0) + 1,
        %(kind)s::text, %(document)s::json,
        -- promote.sql sets it afterwards: in this statement the unique index would still see the old newest version.
        false,
        %(requested_to_start_timeout)s::bigint * interval '1 millisecond',
        %(in_progress_timeout)s::bigint * interval '1 millisecond',
        %(allowed_retry_count)s::integer,
        %(retry_delay)s::bigint * interval '1 millisecond',
        %(attempt_timeout)s::bigint * interval '1 millisecond',
        %(concurrency_limit)s::integer, %(concurrency_path)s::jsonpath,
        %(has_result_schema)s::boolean, %(has_error_schema)s::boolean, %(keep)s::text,
        coalesce(%(now)s::timestamptz, statement_timestamp()), %(created_by)s::text
    where not exists (select from newest) and not exists (select from other)
    returning version, created_at, document, concurrency_limit is not null as limited, concurrency_path::text as path,
        concurrency_limit as most
)
select version, created_at, document, false as relabel, false as opens from newest
union all
select
    c.version, c.created_at, c.document, (c.limited, c.path) is distinct from (b.limited, b.path),
    coalesce(c.most > b.most, false)
from created as c
cross join before as b
