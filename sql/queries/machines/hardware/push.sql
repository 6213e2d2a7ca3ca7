-- Save a hardware record, in place of an older one.
-- Takes:   id, record json, caller; now.
-- Returns: one row (id, record, pushed_at).
-- Touches: hardware. Run before set_addresses.sql in one transaction.
insert into fencepost.hardware (id, record, pushed_at, pushed_by)
values (
    %(id)s::text, %(record)s::json, coalesce(%(now)s::timestamptz, statement_timestamp()), %(caller)s::text
)
on conflict (id) do update
set record = excluded.record, pushed_at = excluded.pushed_at, pushed_by = excluded.pushed_by
returning id, record, pushed_at
