-- Create the tasks that decisions ask for.
-- Takes:   calls json: [{call, workflow_seq, workflow_id, label, digest, definition, version, params, execute_at,
--          settings, caller}]; now.
-- Returns: per task, in the order of the calls, (seq, definition, due_in, expires_in): seconds until it is ready, null
--          when it is, and until it expires, null when it never does.
-- Touches: activities, live_tasks, task_names (a lock); reads definitions. Run after lock_decisions.sql, which has
--          checked that the labels are free. The caller has checked the versions just before.
with calls as materialized (
    select
        c.*, nextval('fencepost.task_seq') as seq, coalesce(%(now)s::timestamptz, statement_timestamp()) as now,
        coalesce(%(now)s::timestamptz, statement_timestamp())
            + fencepost.term(c.settings, 'expiresAfter', null) as expires_at
    from (
        select
            c.*,
            -- The limit of the newest version applies. A definition that was deleted in between has none.
            case when d.concurrency_limit is not null then fencepost.limit_key(c.params, d.concurrency_path) end
                as limit_key
        from json_to_recordset(%(calls)s::json) as c (
            call integer, workflow_seq bigint, workflow_id text, label text, digest uuid, definition text,
            version integer, params json, execute_at timestamptz, settings json, caller text
        )
        left join fencepost.definitions as d on d.name = c.definition and d.is_newest
        order by c.call
    ) as c
),
waited as (
    -- Changes no row. Takes the table lock that excludes definitions/update_limit_keys.sql.
    update fencepost.task_names set seq = seq where false
),
noted as (
    insert into fencepost.activities (workflow_seq, label, seq, is_workflow, digest)
    select c.workflow_seq, c.label, c.seq, false, c.digest from calls as c
),
made as (
    insert into fencepost.live_tasks
        (seq, id, definition, definition_version, label, params, requester, created_by, created_at, asked_execute_at,
         status, version, retry_count, execute_at, ready_at, deadline_at, updated_at, limit_key, workflow_seq,
         settings, expires_at)
    select
        c.seq,
        -- One random prefix for all: seq makes the ids different.
        overlay((select fencepost.own_id(2, 0)) placing lpad(to_hex(c.seq), 12, '0') from 25), c.definition, c.version,
        c.label, c.params,
        json_build_object('resourceType', 'AidboxWorkflow', 'id', c.workflow_id), c.caller, c.now, c.execute_at,
        case when c.execute_at > c.now then 'waiting' else 'ready' end, 1, 0, c.execute_at,
        greatest(c.execute_at, c.now), least(case when c.execute_at > c.now then c.execute_at end, c.expires_at), c.now,
        c.limit_key, c.workflow_seq, c.settings, c.expires_at
    from calls as c
)
select
    c.seq, c.definition,
    case when c.execute_at > c.now then extract(epoch from c.execute_at - c.now)::float8 end as due_in,
    extract(epoch from c.expires_at - c.now)::float8 as expires_in
from calls as c
order by c.seq
