-- List device workflow runs that are live or ended lately, with a count of their changes.
-- Takes:   since timestamptz, for runs that have ended (null: a minute ago; at most a day); seqs bigint[], further runs
--          that have ended by now; now.
-- Returns: per run (seq, changes) and its resource row. `changes` grows with each change of the run or its tasks.
-- Touches: nothing; reads definitions, live_workflows, done_workflows, live_tasks, done_tasks.
with asked as materialized (
    select
        greatest(
            coalesce(
                %(since)s::timestamptz,
                coalesce(%(now)s::timestamptz, statement_timestamp()) - interval '1 minute'
            ),
            -- At most one day: a client that was away for longer reads the current state instead.
            coalesce(%(now)s::timestamptz, statement_timestamp()) - interval '1 day'
        ) as since,
        array(select d.name from fencepost.definitions as d where d.kind = 'device-workflow') as names
),
finished as materialized (
    select w.*
    from asked as a
    cross join lateral (
        select w.*
        from fencepost.done_workflows as w
        where w.done_at between a.since and 'infinity' and w.definition = any(a.names)
        offset 0
    ) as w
    union all
    select w.*
    from asked as a
    cross join unnest(%(seqs)s::bigint[]) as u (seq)
    cross join lateral (
        select w.* from fencepost.done_workflows as w where w.seq = u.seq and w.done_at < a.since offset 0
    ) as w
),
runs as materialized (
    select
        w.seq, w.id, w.definition, w.definition_version,
        case when w.begun_at is null then 'created' else 'in-progress' end as status,
        w.label, w.params, w.requester, w.created_at, 1 as version, w.execute_at,
        coalesce(w.begun_at, w.created_at) as updated_at,
        null::text as outcome, null::text as reason_type, null::text as reason_message, null::json as result,
        null::json as error
    from fencepost.live_workflows as w
    where w.key >= 'device/' collate "C" and w.key < 'device0' collate "C"
    union all
    select
        w.seq, w.id, w.definition, w.definition_version, 'done',
        w.label, w.params, w.requester, w.created_at, 2, w.execute_at, w.done_at,
        w.outcome, w.reason_type, w.reason_message, w.result, w.error
    from finished as w
)
select
    w.seq,
    (w.status = 'done')::integer + (w.status <> 'created')::integer + t.changes as changes,
    w.id, w.definition, w.definition_version, w.status, w.label, w.params, w.requester, w.created_at, w.version,
    w.execute_at, w.updated_at, w.outcome, w.reason_type, w.reason_message, w.result, w.error
from runs as w
cross join lateral (
    select coalesce(sum(r.version), 0)::bigint as changes
    from fencepost.task_resources as r
    where r.workflow_seq = w.seq and not r.decides
    offset 0
) as t
order by w.seq
