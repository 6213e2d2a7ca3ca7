-- Create tasks, each under the newest version of its definition.
-- Takes:   calls json: [{call, id, definition, version, label, params, execute_at, requester, caller}]; now.
-- Returns: per created task due_in (seconds until it becomes ready, null when it is) and its resource row.
--          A call whose id is taken, or whose definition has moved on from `version`, returns no row.
-- Touches: tasks, live_tasks; reads definitions.
with calls as materialized (
    select c.*, coalesce(%(now)s::timestamptz, statement_timestamp()) as now
    from json_to_recordset(%(calls)s::json) as c (
        call integer, id text, definition text, version integer, label text, params json,
        execute_at timestamptz, requester json, caller text
    )
),
created as (
    insert into fencepost.tasks
        (id, definition, definition_version, label, params, execute_at, requester, created_by, created_at)
    select c.id, c.definition, c.version, c.label, c.params, c.execute_at, c.requester, c.caller, c.now
    from calls as c
    -- The version that the caller's params were checked against must still be the newest when the task commits.
    join fencepost.definitions as d on d.name = c.definition and d.version = c.version and d.is_newest
    order by c.call
    on conflict (id) do nothing
    returning seq, id, definition, definition_version, label, params, execute_at, requester, created_at
),
limits as materialized (
    -- Apart, so that tasks without a limit pay no look-up each.
    select d.name, d.concurrency_path
    from fencepost.definitions as d
    where d.is_newest and d.concurrency_limit is not null
        and d.name = any(array(select distinct c.definition from calls as c))
),
queued as (
    insert into fencepost.live_tasks
        (seq, definition, status, version, retry_count, execute_at, ready_at, deadline_at, updated_at, limit_key)
    select
        t.seq, t.definition,
        case when t.execute_at > t.created_at then 'waiting' else 'ready' end,
        1, 0, t.execute_at, greatest(t.execute_at, t.created_at),
        case when t.execute_at > t.created_at then t.execute_at end,
        t.created_at,
        case when m.name is not null then fencepost.limit_key(t.params, m.concurrency_path) end
    from created as t
    left join limits as m on m.name = t.definition
)
select
    c.call,
    case when t.execute_at > t.created_at then extract(epoch from t.execute_at - t.created_at)::float8 end as due_in,
    t.id, t.definition, t.definition_version,
    case when t.execute_at > t.created_at then 'waiting' else 'ready' end as status,
    -- The rest of the resource.
    t.label, t.params, t.requester, t.created_at, 1 as version, null::uuid as exec_id, 0 as retry_count, t.execute_at,
    case when t.execute_at > t.created_at then t.execute_at end as deadline_at,
    t.created_at as updated_at,
    null as worker, null as outcome, null as reason_type, null as reason_message, null as result, null as error
from created as t
join calls as c on c.id = t.id
