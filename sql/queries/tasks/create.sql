-- Create tasks, each under the newest version of its definition.
-- Takes:   calls json: [{call, id, prefix, definition, version, label, params, execute_at, settings, requester,
--          caller}]; now. `prefix` is the random beginning of an id that the server makes, null when the caller gave
--          `id`.
-- Returns: per created task due_in (seconds until it becomes ready, null when it is) and its resource row. A call whose
--          id is taken, or whose `version` is not the newest, has no row. A row without a status means that these calls
--          have run before; its id is the one that this run would have given (find_previous_create.sql).
-- Touches: task_names, live_tasks; reads definitions.
with calls as materialized (
    select c.*, coalesce(%(now)s::timestamptz, statement_timestamp()) as now, nextval('fencepost.task_seq') as seq
    from (
        select
            c.*,
            case when d.concurrency_limit is not null then fencepost.limit_key(c.params, d.concurrency_path) end
                as limit_key
        from json_to_recordset(%(calls)s::json) as c (
            call integer, id text, prefix text, definition text, version integer, label text, params json,
            execute_at timestamptz, settings json, requester json, caller text
        )
        -- The version that the params were checked against must still be the newest.
        join fencepost.definitions as d on d.name = c.definition and d.version = c.version and d.is_newest
        order by c.call
    ) as c
),
unnamed as materialized (
    -- One name for all tasks of the call that get their id from the server. When the reply is lost and the statement
    -- runs again, the name is taken. No caller can choose an id with a colon.
    select c.seq, ':' || c.prefix as id from calls as c where c.prefix is not null order by c.call limit 1
),
named as (
    insert into fencepost.task_names (id, seq)
    select c.id, c.seq from calls as c where c.prefix is null
    union all
    select u.id, u.seq from unnamed as u
    on conflict (id) do nothing
    returning seq
),
created as materialized (
    select
        c.call, c.seq, c.definition, c.version as definition_version, c.label, c.params, c.execute_at, c.settings,
        c.requester, c.caller, c.limit_key, c.now as created_at, w.made,
        case when c.prefix is null then c.id else c.prefix || '-8000-' || lpad(to_hex(c.seq), 12, '0') end as id,
        case when w.made then case when c.execute_at > c.now then 'waiting' else 'ready' end end as status,
        case when c.execute_at > c.now then c.execute_at end as due_at,
        c.now + fencepost.term(c.settings, 'expiresAfter', null) as expires_at
    from calls as c
    -- `in` in the select list: Postgres uses a hash, whatever it estimates for the sizes.
    cross join lateral (
        select case when c.prefix is null then c.seq else (select u.seq from unnamed as u) end
            in (select n.seq from named as n)
        offset 0
    ) as w (made)
    where w.made or c.prefix is not null
),
queued as (
    insert into fencepost.live_tasks
        (seq, id, definition, definition_version, label, params, requester, created_by, created_at, asked_execute_at,
         status, version, retry_count, execute_at, ready_at, deadline_at, updated_at, limit_key, settings, expires_at)
    select
        t.seq, t.id, t.definition, t.definition_version, t.label, t.params, t.requester, t.caller, t.created_at,
        t.execute_at, t.status, 1, 0, t.execute_at, greatest(t.execute_at, t.created_at), least(t.due_at, t.expires_at),
        t.created_at, t.limit_key, t.settings, t.expires_at
    from created as t
    where t.made
),
resource as (
    select
        t.call,
        extract(epoch from t.due_at - t.created_at)::float8 as due_in,
        t.id, t.definition, t.definition_version, t.status,
        t.label, t.params, t.requester, t.settings, t.created_at, 1 as version, null::uuid as exec_id,
        0 as retry_count, t.execute_at, least(t.due_at, t.expires_at) as deadline_at, t.created_at as updated_at,
        null as worker, null as outcome, null as reason_type, null as reason_message, null as result, null as error
    from created as t
)
select *
from resource
