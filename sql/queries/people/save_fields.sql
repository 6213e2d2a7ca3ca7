-- Save fields of a people's task.
-- Takes:   seq, workflow_seq bigint; members text[], the fields to save: progress_message, exception_message,
--          domain_object (key and code), locked_by; a value for each; locker, the user who locks or unlocks; now.
-- Returns: one row (seq); no row when `locked_by` is to be saved and another user holds the lock.
-- Touches: people_tasks.
insert into fencepost.people_tasks as t
    (seq, workflow_seq, progress_message, exception_message, exception_at, domain_object_key, domain_object_code,
     locked_by)
values (
    %(seq)s::bigint, %(workflow_seq)s::bigint, %(progress_message)s::text, %(exception_message)s::text,
    case when 'exception_message' = any(%(members)s::text[]) then coalesce(%(now)s::timestamptz, statement_timestamp()) end,
    %(domain_object_key)s::text, %(domain_object_code)s::text, %(locked_by)s::text
)
on conflict (seq) do update set
    progress_message = case
        when 'progress_message' = any(%(members)s::text[]) then excluded.progress_message else t.progress_message end,
    exception_message = case
        when 'exception_message' = any(%(members)s::text[]) then excluded.exception_message else t.exception_message end,
    exception_at = coalesce(excluded.exception_at, t.exception_at),
    domain_object_key = case
        when 'domain_object' = any(%(members)s::text[]) then excluded.domain_object_key else t.domain_object_key end,
    domain_object_code = case
        when 'domain_object' = any(%(members)s::text[]) then excluded.domain_object_code else t.domain_object_code end,
    locked_by = case when 'locked_by' = any(%(members)s::text[]) then excluded.locked_by else t.locked_by end
where 'locked_by' <> all(%(members)s::text[]) or t.locked_by is null or t.locked_by = %(locker)s::text
returning t.seq
