-- Note what happened to workflows, behind what they have not been told yet.
-- Takes:   events json: [{workflow_seq, event json}], in their order; tasks bigint[], numbers of activities that have
--          just ended; workflows bigint[], numbers of workflows that have just ended; since, before which none of them did.
-- Returns: per workflow that something was told (seq).
-- Touches: live_workflows, workflow_events; reads done_tasks, done_workflows. Run behind lock.sql, before advance.sql, in
--          the transaction in which it happened.
with happened as materialized (
    select e.workflow_seq, e.event, row_number() over () as place
    from json_to_recordset(%(events)s::json) as e (workflow_seq bigint, event json)
    union all
    select
        d.workflow_seq,
        json_build_object(
            'event', 'awf.workflow.event/task-completed', 'task-id', d.id, 'label', d.label, 'outcome', d.outcome
        ),
        t.place
    from unnest(%(tasks)s::bigint[]) with ordinality as t (seq, place)
    cross join lateral (
        select d.id, d.label, d.outcome, d.workflow_seq
        from fencepost.done_tasks as d
        where d.seq = t.seq and d.done_at >= %(since)s::timestamptz
        offset 0
    ) as d
    union all
    select
        d.parent_seq,
        json_build_object(
            'event', 'awf.workflow.event/workflow-completed', 'workflow-id', d.id, 'label', d.label,
            'outcome', d.outcome
        ),
        t.place
    from unnest(%(workflows)s::bigint[]) with ordinality as t (seq, place)
    cross join lateral (
        select d.id, d.label, d.outcome, d.parent_seq
        from fencepost.done_workflows as d
        where d.seq = t.seq and d.done_at >= %(since)s::timestamptz
        offset 0
    ) as d
),
numbered as materialized (
    select
        w.place, w.seq, h.event,
        w.last_event + row_number() over (partition by w.seq order by h.place) as number
    from happened as h
    -- Locked by this transaction, so that it stays where it is found. One that is over hears nothing.
    cross join lateral (
        select w.ctid as place, w.seq, w.last_event
        from fencepost.live_workflows as w
        where w.seq = h.workflow_seq
        offset 0
    ) as w
),
noted as (
    insert into fencepost.workflow_events (workflow_seq, number, event)
    select n.seq, n.number, n.event from numbered as n
),
counted as (
    update fencepost.live_workflows as w
    set last_event = n.number
    from (select n.place, max(n.number) as number from numbered as n group by n.place) as n
    where w.ctid = n.place
)
select distinct n.seq
from numbered as n
