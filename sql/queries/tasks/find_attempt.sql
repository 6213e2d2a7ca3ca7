-- Find the log entry of an earlier call of one execution, to answer a repeated call like the first.
-- Takes:   id, seq (as in find.sql), exec_id, actions text[].
-- Returns: the newest matching entry: the resource row as it was after it, action, action_params; or no row.
-- Touches: nothing; reads task_names, task_resources, task_entries.
select
    null::integer as call,
    t.id, t.definition, t.definition_version, e.status,
    t.label, t.params, t.requester, t.settings, t.created_at, e.version,
    case when e.status in ('requested', 'in-progress', 'done') then e.exec_id end as exec_id,
    e.retry_count, e.execute_at, e.deadline_at, e.at as updated_at,
    case when e.status in ('requested', 'in-progress', 'done') then e.worker end as worker,
    e.outcome, e.reason_type, e.reason_message,
    case when e.status = 'done' then e.action_params -> 'result' end as result,
    case when e.status = 'done' then e.action_params -> 'error' end as error,
    e.action,
    e.action_params
from fencepost.task_resources as t
join fencepost.task_entries as e on e.seq = t.seq
-- A constant key is pushed into each part of the view; a join key is not.
where t.seq = coalesce(%(seq)s::bigint, (select n.seq from fencepost.task_names as n where n.id = %(id)s::text))
    and e.seq = coalesce(%(seq)s::bigint, (select n.seq from fencepost.task_names as n where n.id = %(id)s::text))
    and t.id = %(id)s::text
    and e.exec_id = %(exec_id)s::uuid
    and e.action = any(%(actions)s::text[])
    -- A poll with `start` also starts the attempt; a poll without does not.
    and (e.action not in ('awf.task/poll', 'awf.task/long-poll') or e.status = 'in-progress')
order by e.version desc
limit 1
