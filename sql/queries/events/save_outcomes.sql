-- Save the outcomes of events.
-- Takes:   calls json: [{key, outcome json}]; starts json: [{event_key, trigger, trigger_version, status, reference
--          json, reason}], the result of each trigger that matches.
-- Returns: nothing.
-- Touches: events, trigger_starts. Run after create.sql in one transaction.
with noted as (
    insert into fencepost.trigger_starts (event_key, trigger, trigger_version, at, status, reference, reason)
    select s.event_key, s.trigger, s.trigger_version, e.at, s.status, s.reference, s.reason
    from json_to_recordset(%(starts)s::json) as s (
        event_key uuid, trigger text, trigger_version integer, status text, reference json, reason text
    )
    cross join lateral (select e.at from fencepost.events as e where e.key = s.event_key offset 0) as e
)
update fencepost.events as e
set outcome = c.outcome
from json_to_recordset(%(calls)s::json) as c (key uuid, outcome json)
-- A range, because the planner may join equal keys by reading the whole index.
where e.key between c.key and c.key
