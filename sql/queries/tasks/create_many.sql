-- Create tasks of one definition, all with ids from the server.
-- Takes:   definition, version; params json, an array of objects; labels json, an array of strings and nulls in the
--          same order, or null; execute_at, settings json, requester json, caller: the same for all; prefix, the
--          beginning of the ids; digest text of all these with a request id, else null; now.
-- Returns: one row (is_new, ids, due_in): the ids joined by commas in the order of the params, and the seconds until
--          the tasks become ready, null when they are. No row when `version` is not the newest. `is_new` is false when
--          the prefix was used before; nothing is created then (find_created_many.sql).
-- Touches: task_names, live_tasks; reads definitions.
with definition as materialized (
    select
        d.concurrency_path, d.concurrency_limit is not null as is_limited, n.now,
        case when %(execute_at)s::timestamptz > n.now then %(execute_at)s::timestamptz end as due_at,
        n.now + fencepost.term(%(settings)s::json, 'expiresAfter', null) as expires_at
    from fencepost.definitions as d
    cross join (select coalesce(%(now)s::timestamptz, statement_timestamp()) as now) as n
    where d.name = %(definition)s::text and d.version = %(version)s::integer and d.is_newest
),
items as materialized (
    select
        nextval('fencepost.task_seq') as seq, i.label,
        case when json_typeof(i.params) <> 'null' then i.params end as params
    from rows from (json_array_elements(%(params)s::json), json_array_elements_text(%(labels)s::json))
        as i (params, label)
    where exists (select from definition)
),
named as (
    -- One name for all. When the reply is lost and the statement runs again, the name is taken. No caller can choose an
    -- id with a colon.
    insert into fencepost.task_names (id, seq)
    select ':' || %(prefix)s::text, min(i.seq) from items as i having count(*) > 0
    on conflict (id) do nothing
    returning seq
),
digested as (
    insert into fencepost.task_names (id, seq)
    select ':' || %(prefix)s::text || ':' || %(digest)s::text, n.seq from named as n where %(digest)s::text is not null
),
queued as (
    insert into fencepost.live_tasks
        (seq, id, definition, definition_version, label, params, requester, created_by, created_at, asked_execute_at,
         status, version, retry_count, execute_at, ready_at, deadline_at, updated_at, limit_key, settings, expires_at)
    select
        i.seq, %(prefix)s::text || '-8000-' || lpad(to_hex(i.seq), 12, '0'), %(definition)s::text, %(version)s::integer,
        i.label, i.params, %(requester)s::json, %(caller)s::text, d.now, %(execute_at)s::timestamptz,
        case when d.due_at is null then 'ready' else 'waiting' end, 1, 0, %(execute_at)s::timestamptz,
        greatest(%(execute_at)s::timestamptz, d.now), least(d.due_at, d.expires_at), d.now,
        case when d.is_limited then fencepost.limit_key(i.params, d.concurrency_path) end, %(settings)s::json,
        d.expires_at
    from definition as d
    cross join items as i
    where exists (select from named)
)
select
    exists (select from named) as is_new,
    string_agg(%(prefix)s::text || '-8000-' || lpad(to_hex(i.seq), 12, '0'), ',' order by i.seq) as ids,
    (select extract(epoch from d.due_at - d.now)::float8 from definition as d) as due_in
from items as i
having count(*) > 0
