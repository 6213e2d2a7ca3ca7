-- Find the live subscriptions at places that events have; whether one is for the event, its rules say.
-- Takes:   places json: [{place, path, value}].
-- Returns: per subscription and place (place, seq, id, exec_id, params).
-- Touches: nothing; reads live_tasks. Run behind events/block_subscriptions.sql: one that is made meanwhile would be missed.
select p.place, l.seq, l.id, l.exec_id, l.params
from json_to_recordset(%(places)s::json) as p (place integer, path text, value bigint)
cross join lateral (
    select l.seq, l.id, l.exec_id, l.params
    from fencepost.live_tasks as l
    -- 0 is that of rules which every value may meet.
    where l.subscription_path = p.path and l.subscription_value in (p.value, 0) and l.status = 'in-progress'
    offset 0
) as l
order by l.seq
