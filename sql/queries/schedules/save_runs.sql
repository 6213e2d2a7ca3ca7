-- Save the results of due times in the run history.
-- Takes:   calls json: [{name, version, due_at, until_at, kind, status, reason, message, reference, id}]; now.
-- Returns: nothing.
-- Touches: schedule_starts. Run after lock.sql or claim.sql, in the transaction of the starts: a due time that was
--          already started makes the whole transaction fail.
insert into fencepost.schedule_starts (name, version, due_at, until_at, kind, status, reason, message, reference, id, at)
select
    c.name, c.version, coalesce(c.due_at, coalesce(%(now)s::timestamptz, statement_timestamp())), c.until_at, c.kind,
    c.status, c.reason, c.message, c.reference, c.id, coalesce(%(now)s::timestamptz, statement_timestamp())
from json_to_recordset(%(calls)s::json) as c (
    name text, version integer, due_at timestamptz, until_at timestamptz, kind text, status text, reason text,
    message text, reference json, id text
)
