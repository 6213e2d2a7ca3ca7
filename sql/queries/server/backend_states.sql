-- Read the states of backends.
-- Takes:   pids int[].
-- Returns: one row for each that there is (pid, started, state, since): working, writing an answer, or idle.
-- Touches: reads pg_stat_activity.
select
  a.pid,
  a.backend_start::text as started,
  case
    when a.state like 'idle%' then 'idle'
    -- A client that reads lets it finish.
    when a.wait_event = 'ClientWrite' then 'writing'
    -- Also where track_activities is off: then nothing is known, and nothing may be given up.
    else 'working'
  end as state,
  coalesce(a.state_change::text, '') as since
from pg_stat_activity as a
where a.pid = any(%(pids)s::integer[])
