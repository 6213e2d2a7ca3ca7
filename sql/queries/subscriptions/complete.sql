-- End subscriptions as succeeded, each by the event that it waited for.
-- Takes:   calls json: [{call, seq, exec_id, event_key}], in the order of the tasks' ids; now.
-- Returns: per ended task (call, id); a task that was ended in between has no row.
-- Touches: live_tasks, done_tasks; reads events. Run after events/create.sql and, for subscriptions of workflows, after
--          workflows/lock.sql.
with calls as materialized (
    select c.*, coalesce(%(now)s::timestamptz, statement_timestamp()) as now
    from json_to_recordset(%(calls)s::json) as c (call integer, seq bigint, exec_id uuid, event_key uuid)
),
ended as (
    delete from fencepost.live_tasks as l
    using calls as c
    -- By seq and not by ctid: a concurrent change moves the row, and it must be ended all the same. A range, because
    -- the planner may join equal keys by reading the whole index.
    where l.seq between c.seq and c.seq and l.exec_id = c.exec_id and l.status = 'in-progress'
    returning c.call, c.event_key, c.now, l.*
),
done as (
    insert into fencepost.done_tasks
        (seq, id, definition, definition_version, label, params, requester, settings, created_by, created_at,
         asked_execute_at, version, action, done_by, status_before, outcome, result, exec_id, retry_count, execute_at,
         worker, done_at, workflow_seq, lease_entry, leased_at, leased_by, lease_ends_at)
    select
        e.seq, e.id, e.definition, e.definition_version, e.label, e.params, e.requester, e.settings, e.created_by,
        e.created_at, e.asked_execute_at, e.version + 1, 'awf.engine/success', 'awf.engine', e.status, 'succeeded',
        (select json_build_object('resource', v.content) from fencepost.events as v where v.key = e.event_key),
        e.exec_id, e.retry_count, e.execute_at, e.worker, e.now, e.workflow_seq, e.request_hash,
        e.updated_at, e.held_by, e.deadline_at
    from ended as e
)
select e.call, e.id
from ended as e
order by e.call, e.seq
