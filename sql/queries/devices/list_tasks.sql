-- List the live tasks of devices, each the current step of a run.
-- Takes:   devices text[], names.
-- Returns: per live task its resource row.
-- Touches: nothing; reads live_workflows, task_resources.
select
    r.id, r.definition, r.definition_version, r.status, r.label, r.params, r.requester, r.settings, r.created_at,
    r.version, r.exec_id, r.retry_count, r.execute_at, r.deadline_at, r.updated_at,
    r.worker, r.outcome, r.reason_type, r.reason_message, r.result, r.error
from unnest(%(devices)s::text[]) as u (name)
cross join lateral (
    select w.seq from fencepost.live_workflows as w where w.key = 'device/' || u.name collate "C" offset 0
) as w
cross join lateral (
    select r.*
    from fencepost.task_resources as r
    where r.workflow_seq = w.seq and r.status <> 'done' and r.definition = 'device/' || u.name
    offset 0
) as r
