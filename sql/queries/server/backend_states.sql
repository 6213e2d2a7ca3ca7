-- Read the states of some backends.
-- Takes:   pids int[].
-- Returns: per backend that exists (pid, started, state, since); `state` is working, writing (an answer) or idle.
-- Touches: nothing; reads pg_stat_activity.
select
  a.pid,
  a.backend_start::text as started,
  case
    when a.state like 'idle%' then 'idle'
    -- The backend is done as soon as the client reads its answer.
    when a.wait_event = 'ClientWrite' then 'writing'
    -- Also when track_activities is off: the state is unknown then, and no statement may be given up.
    else 'working'
  end as state,
  coalesce(a.state_change::text, '') as since
from pg_stat_activity as a
where a.pid = any(%(pids)s::integer[])
