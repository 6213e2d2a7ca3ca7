-- Find the live subscriptions that may match events; their rules are checked afterwards.
-- Takes:   places json: [{place, path, value}], the index keys of the events.
-- Returns: per subscription and place (place, seq, id, exec_id, params).
-- Touches: nothing; reads live_tasks. Run after events/block_subscriptions.sql: a subscription that is created at the
--          same time would be missed.
select p.place, l.seq, l.id, l.exec_id, l.params
from json_to_recordset(%(places)s::json) as p (place integer, path text, value bigint)
cross join lateral (
    select l.seq, l.id, l.exec_id, l.params
    from fencepost.live_tasks as l
    -- 0 is stored for rules that any value can match.
    where l.subscription_path = p.path and l.subscription_value in (p.value, 0) and l.status = 'in-progress'
    offset 0
) as l
order by l.seq
