-- Deliver events to workflows: an idle workflow gets a decision task for its oldest event, the rest wait.
-- Takes:   events json: [{workflow_seq, event json}], in order; tasks bigint[], activities that have just ended;
--          changed boolean, whether some of these may have not ended, or earlier than in this transaction, which must
--          have no savepoints then; workflows bigint[], workflows that have just ended, whose parents get an event; decided bigint[], workflows
--          whose decision was just made and which get their next waiting event; now.
-- Returns: per decision task created (definition, due_in): seconds until it is ready, null when it is.
-- Touches: live_workflows, workflow_events, live_tasks; reads done_tasks, done_workflows. Run after lock.sql, last in
--          the transaction that caused the events, so no workflow is left with an event and no decision task.
with popped as (
    delete from fencepost.workflow_events as e
    using unnest(%(decided)s::bigint[]) as t (seq), lateral (
        select e.ctid as place from fencepost.workflow_events as e where e.workflow_seq = t.seq order by e.number limit 1
    ) as oldest
    where e.ctid = oldest.place
    returning e.workflow_seq, e.event
),
happened as materialized (
    select p.workflow_seq, 0 as place, true as waited, p.event from popped as p
    union all
    select e.workflow_seq, row_number() over (), false, e.event
    from json_to_recordset(%(events)s::json) as e (workflow_seq bigint, event json)
    union all
    select
        d.workflow_seq, t.place, false,
        json_build_object(
            'event', 'awf.workflow.event/task-completed', 'task-id', d.id, 'label', d.label, 'outcome', d.outcome)
    from unnest(%(tasks)s::bigint[]) with ordinality as t (seq, place)
    -- `offset 0` makes each look-up an index probe in every plan, also one made while a table was empty. The condition
    -- on time excludes old and future partitions, and allows for a clock that was set back or forward.
    cross join lateral (
        select d.id, d.label, d.outcome, d.workflow_seq
        from fencepost.done_tasks as d
        where d.seq = t.seq
            and d.done_at >= coalesce(%(now)s::timestamptz, transaction_timestamp()) - interval '1 day'
            and d.done_at <= coalesce(%(now)s::timestamptz, transaction_timestamp()) + interval '1 day'
            and (not %(changed)s::boolean or d.xmin = pg_current_xact_id_if_assigned()::xid)
        offset 0
    ) as d
    union all
    select
        d.parent_seq, t.place, false,
        json_build_object(
            'event', 'awf.workflow.event/workflow-completed', 'workflow-id', d.id, 'label', d.label, 'outcome', d.outcome)
    from unnest(%(workflows)s::bigint[]) with ordinality as t (seq, place)
    cross join lateral (
        select d.id, d.label, d.outcome, d.parent_seq
        from fencepost.done_workflows as d
        where d.seq = t.seq
            and d.done_at >= coalesce(%(now)s::timestamptz, transaction_timestamp()) - interval '1 day'
            and d.done_at <= coalesce(%(now)s::timestamptz, transaction_timestamp()) + interval '1 day'
        offset 0
    ) as d
),
heard as materialized (
    select
        w.*, h.event, h.waited,
        w.last_event + count(*) filter (where not h.waited) over line as number,
        w.is_idle and row_number() over line = 1 as is_next
    from happened as h
    -- The workflow is locked by this transaction, so its ctid stays valid. A finished workflow gets no event.
    cross join lateral (
        select
            w.ctid as place, w.seq, w.id, w.definition, w.definition_version, w.begun_at, w.execute_at, w.last_event,
            -- A count, because the planner may turn `not exists` into a join with all live tasks.
            (select count(*) from fencepost.live_tasks as l where l.seq = w.decision_seq) = 0 as is_idle
        from fencepost.live_workflows as w
        where w.seq = h.workflow_seq
        offset 0
    ) as w
    window line as (partition by w.seq order by h.place rows unbounded preceding)
),
told as materialized (
    select
        h.*, coalesce(%(now)s::timestamptz, statement_timestamp()) as now,
        -- Only the first event can come before executeAt.
        case when h.begun_at is null then h.execute_at end as due_at,
        case when h.is_next then nextval('fencepost.task_seq') end as task_seq
    from heard as h
),
waiting as (
    insert into fencepost.workflow_events (workflow_seq, number, event)
    select t.seq, t.number, t.event from told as t where not t.is_next
),
noted as (
    update fencepost.live_workflows as w
    set last_event = t.number, decision_seq = coalesce(t.task_seq, w.decision_seq)
    from (select t.place, max(t.number) as number, max(t.task_seq) as task_seq from told as t group by t.place) as t
    where w.ctid = t.place
),
made as (
    insert into fencepost.live_tasks
        (seq, id, definition, definition_version, params, requester, created_by, created_at, asked_execute_at,
         status, version, retry_count, execute_at, ready_at, deadline_at, updated_at, workflow_seq)
    select
        t.task_seq,
        -- One random prefix for all: seq makes the ids different.
        overlay((select fencepost.own_id(1, 0)) placing lpad(to_hex(t.task_seq), 12, '0') from 25), t.definition, t.definition_version, t.event,
        json_build_object('resourceType', 'AidboxWorkflow', 'id', t.id), 'awf.engine', t.now, t.due_at,
        case when t.due_at is null then 'ready' else 'waiting' end, 1, 0, t.due_at, coalesce(t.due_at, t.now), t.due_at,
        t.now, t.seq
    from told as t
    where t.is_next
)
select t.definition, extract(epoch from t.due_at - t.now)::float8 as due_in
from told as t
where t.is_next
