-- Create workflows, each under the newest version of its definition.
-- Takes:   calls json: [{call, id, definition, version, label, params, execute_at, requester, caller, parent_seq,
--          digest, key, about}]; now. `parent_seq` and `digest` are null for a workflow without a parent.
-- Returns: per created workflow `call`, its seq and its resource row. A call whose id is taken, or whose `version` is
--          not the newest, has no row.
-- Touches: workflow_names, live_workflows, workflow_subjects, activities, task_names (a lock); reads definitions. Run
--          before advance.sql in one transaction, with the first event of each.
with calls as materialized (
    select c.*, coalesce(%(now)s::timestamptz, statement_timestamp()) as now, nextval('fencepost.task_seq') as seq
    from (
        select c.*
        from json_to_recordset(%(calls)s::json) as c (
            call integer, id text, definition text, version integer, label text, params json, execute_at timestamptz,
            requester json, caller text, parent_seq bigint, digest uuid, key text, about text[]
        )
        -- A caller's request was checked against the newest version, which must still be the newest. A child was
        -- checked with the decision just before: a concurrent put must not make the decision fail.
        join fencepost.definitions as d
            on d.name = c.definition and d.version = c.version and (d.is_newest or c.parent_seq is not null)
        order by c.call
    ) as c
),
waited as (
    -- Changes no row. Takes the table lock that excludes definitions/delete.sql.
    update fencepost.task_names set seq = seq where false
),
named as (
    insert into fencepost.workflow_names (id, seq)
    select c.id, c.seq from calls as c
    on conflict (id) do nothing
    returning seq
),
noted as (
    insert into fencepost.activities (workflow_seq, label, seq, is_workflow, digest)
    select c.parent_seq, c.label, c.seq, true, c.digest
    from calls as c
    where c.parent_seq is not null and c.seq in (select n.seq from named as n)
),
found_by as (
    insert into fencepost.workflow_subjects (subject, workflow_seq, workflow_id)
    select u.subject, c.seq, c.id
    from calls as c
    cross join lateral unnest(c.about) as u (subject)
    where c.seq in (select n.seq from named as n)
),
created as (
    insert into fencepost.live_workflows
        (seq, id, definition, definition_version, label, params, requester, parent_seq, created_by, created_at,
         execute_at, begun_at, last_event, key)
    select
        c.seq, c.id, c.definition, c.version, c.label, c.params, c.requester, c.parent_seq, c.caller, c.now,
        c.execute_at, case when c.execute_at > c.now then null else c.now end, 0, c.key
    from calls as c
    where c.seq in (select n.seq from named as n)
)
select
    c.call, c.seq,
    c.id, c.definition, c.version as definition_version,
    case when c.execute_at > c.now then 'created' else 'in-progress' end as status,
    c.label, c.params, c.requester, c.created_at, 1 as version, c.execute_at, c.updated_at,
    null as outcome, null as reason_type, null as reason_message, null::json as result, null::json as error
from (select c.*, c.now as created_at, c.now as updated_at from calls as c) as c
where c.seq in (select n.seq from named as n)
order by c.call
