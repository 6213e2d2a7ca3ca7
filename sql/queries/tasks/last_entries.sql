-- List the log of one task, newest first.
-- Takes:   id, seq (as in find.sql); before integer, the version before which the page begins (null for the first
--          page); size integer.
-- Returns: per entry as entries.sql.
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
    and (%(before)s::integer is null or e.version < %(before)s::integer)
order by e.version desc
limit %(size)s::integer
