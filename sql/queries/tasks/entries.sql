-- List the log of one task, oldest first.
-- Takes:   id, seq (as in find.sql); after integer, the version after which the page begins (0 for the first page);
--          size integer.
-- Returns: per entry (id, version, at, action, action_params, caller, worker, status_before, status, outcome,
--          reason_type, reason_message, exec_id, retry_count, execute_at, deadline_at, delay in ms).
-- Touches: nothing; reads task_names, task_resources, task_entries.
select
    t.id, e.version, e.at, e.action,
    coalesce(
        e.action_params,
        case when e.version = 1 then json_build_object('definition', t.definition, 'label', t.label, 'params', t.params) end
    ) as action_params,
    e.caller, e.worker, e.status_before, e.status, e.outcome, e.reason_type, e.reason_message, e.exec_id,
    e.retry_count, e.execute_at, e.deadline_at,
    (extract(epoch from e.deadline_at - e.at) * 1000)::bigint as delay
from fencepost.task_resources as t
join fencepost.task_entries as e on e.seq = t.seq
-- A constant key is pushed into each part of the view; a join key is not.
where t.seq = coalesce(%(seq)s::bigint, (select n.seq from fencepost.task_names as n where n.id = %(id)s::text))
    and e.seq = coalesce(%(seq)s::bigint, (select n.seq from fencepost.task_names as n where n.id = %(id)s::text))
    and t.id = %(id)s::text
    and e.version > %(after)s::integer
order by e.version
limit %(size)s::integer
