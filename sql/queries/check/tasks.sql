-- Compare live tasks with the newest entries of their logs, a batch at a time.
-- Takes:   after bigint, the seq after which the batch begins (0 for the first); batch integer.
-- Returns: per task (seq, id, differences json): null without differences, else an object with [value of the task,
--          value of the log] for each member that differs.
-- Touches: nothing; reads live_tasks, task_log.
select
    l.seq, l.id,
    case
        when e.version is null then json_build_object('log', json_build_array(l.version, null))
        when (l.version, l.status, l.exec_id, l.retry_count, l.deadline_at)
            is distinct from (e.version, e.status, case when e.status in ('requested', 'in-progress') then e.exec_id end, e.retry_count, e.deadline_at)
            then json_strip_nulls(json_build_object(
                'version', case when l.version <> e.version then json_build_array(l.version, e.version) end,
                'status', case when l.status <> e.status then json_build_array(l.status, e.status) end,
                'execId', case when l.exec_id is distinct from e.exec_id and l.exec_id is not null then json_build_array(l.exec_id, e.exec_id) end,
                'retryCount', case
                    when l.retry_count <> e.retry_count then json_build_array(l.retry_count, e.retry_count) end,
                'deadlineAt', case
                    when l.deadline_at is distinct from e.deadline_at
                        then json_build_array(l.deadline_at, e.deadline_at) end
            ))
    end as differences
from (
    select t.* from fencepost.live_tasks as t where t.seq > %(after)s::bigint order by t.seq limit %(batch)s::integer
) as l
left join lateral (
    select v.version, v.status, v.exec_id, v.retry_count, v.deadline_at
    from fencepost.task_entries as v
    where v.seq = l.seq
    order by v.version desc
    limit 1
) as e on true
order by l.seq
