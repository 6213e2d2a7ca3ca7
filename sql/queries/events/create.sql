-- Store events that are new, if their triggers were chosen among the triggers declared now.
-- Takes:   calls json: [{key, source, id, digest, content json, caller, triggers}]; now. `triggers` is the number of
--          trigger changes when they were chosen (triggers/all.sql).
-- Returns: per stored event (key).
-- Touches: events; reads trigger_changes. Run after block_subscriptions.sql.
insert into fencepost.events (key, source, id, digest, content, at, caller)
select
    c.key, c.source, c.id, c.digest, c.content, coalesce(%(now)s::timestamptz, statement_timestamp()), c.caller
from json_to_recordset(%(calls)s::json) as c (
    key uuid, source text, id text, digest uuid, content json, caller text, triggers bigint
)
join fencepost.trigger_changes as t on t.number = c.triggers
-- One order everywhere: two transactions that insert the same events queue instead of deadlocking.
order by c.key
on conflict (key) do nothing
returning key
