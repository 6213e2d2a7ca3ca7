-- Take events that nobody has taken, whose triggers were chosen among those that are declared now.
-- Takes:   calls json: [{key, source, id, digest, content json, caller, triggers}]; now. `triggers` is the number of
--          changes behind which they were chosen (triggers/all.sql).
-- Returns: per taken event (key).
-- Touches: events; reads trigger_changes. Run behind block_subscriptions.sql.
insert into fencepost.events (key, source, id, digest, content, at, caller)
select
    c.key, c.source, c.id, c.digest, c.content, coalesce(%(now)s::timestamptz, statement_timestamp()), c.caller
from json_to_recordset(%(calls)s::json) as c (
    key uuid, source text, id text, digest uuid, content json, caller text, triggers bigint
)
join fencepost.trigger_changes as t on t.number = c.triggers
-- In one order everywhere: two that take the same events wait for the first of them, and not for each other.
order by c.key
on conflict (key) do nothing
returning key
