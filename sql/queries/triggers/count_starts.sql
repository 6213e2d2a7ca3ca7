-- Count the starts of a trigger and the events that it skipped, as far as its history is kept.
-- Takes:   name.
-- Returns: one row (started, skipped).
-- Touches: nothing; reads trigger_starts.
select
    count(*) filter (where s.status = 'started')::integer as started,
    count(*) filter (where s.status = 'skipped')::integer as skipped
from fencepost.trigger_starts as s
where s.trigger = %(name)s::text
