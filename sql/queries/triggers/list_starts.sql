-- List the last starts of a trigger, newest first.
-- Takes:   name; size integer.
-- Returns: per start (source, id, at, trigger_version, status, reference, reason); source and id are those of the
--          event.
-- Touches: nothing; reads trigger_starts, events.
select e.source, e.id, s.at, s.trigger_version, s.status, s.reference, s.reason
from (
    select s.*
    from fencepost.trigger_starts as s
    where s.trigger = %(name)s::text
    order by s.at desc, s.event_key desc
    limit %(size)s::integer
) as s
-- `offset 0` makes the look-up an index probe in every plan, also one made while the table was empty.
cross join lateral (select e.source, e.id from fencepost.events as e where e.key = s.event_key offset 0) as e
order by s.at desc, s.event_key desc
